"""The library's tables, and the steps from every released version to this one.

Paths are stored as the file system's own bytes (`os.fsencode`), because a name need not be UTF-8.
Times are milliseconds since the epoch, UTC. Measured at a million rows in the design's facts on
scale: keyset pages, a tally kept by triggers, FTS5 with external content (contentless tables with
deletes need SQLite 3.43; STRICT needs 3.37).
"""

from __future__ import annotations

APPLICATION_ID = 0x50544147
"""``PTAG``, in the file's header (sqlite.org, "Database File Format", section 1.3.17)."""

OLDEST_SQLITE = (3, 37, 0)

KEYWORD_MARK = "\ue000"
"""Stands between keywords in the full-text index (``char(57344)`` below): a word to its tokenizer,
which takes private-use characters for letters (sqlite.org, "SQLite FTS5 Extension", 4.3.1)."""

_VERSION_1 = """
CREATE TABLE folder(
  id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, mtime_ns INTEGER) STRICT;
CREATE TABLE image(
  id INTEGER PRIMARY KEY, folder_id INTEGER NOT NULL REFERENCES folder, name BLOB NOT NULL,
  format TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL,
  content TEXT, width INTEGER, height INTEGER, taken INTEGER, perceptual_hash TEXT,
  preview BLOB, thumbnail BLOB, note TEXT NOT NULL DEFAULT '',
  is_inspected INTEGER NOT NULL DEFAULT 1,
  state TEXT NOT NULL DEFAULT 'discovered', state_at INTEGER NOT NULL,
  reason TEXT NOT NULL DEFAULT '', reason_text TEXT NOT NULL DEFAULT '',
  suggestion_id INTEGER, decision_id INTEGER, lead_id INTEGER, UNIQUE(folder_id, name)) STRICT;
CREATE INDEX image_state ON image(state, id) WHERE state <> 'discovered';
CREATE INDEX image_shown ON image(id, folder_id, state, lead_id) WHERE lead_id IS NULL;
CREATE INDEX image_lead ON image(lead_id) WHERE lead_id IS NOT NULL;
CREATE INDEX image_raw ON image(id, folder_id, name) WHERE format IN ('raw', 'dng');
CREATE INDEX image_taken ON image(taken, id) WHERE taken IS NOT NULL;
CREATE INDEX image_uninspected ON image(id) WHERE is_inspected = 0;
CREATE INDEX image_content ON image(content) WHERE content IS NOT NULL;
CREATE TABLE run(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, status TEXT NOT NULL,
  created INTEGER NOT NULL, started INTEGER, ended INTEGER, worked_ms INTEGER NOT NULL DEFAULT 0,
  config TEXT NOT NULL, options TEXT NOT NULL DEFAULT '{}',
  totals TEXT NOT NULL DEFAULT '{}', message TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX run_status ON run(status, id);
CREATE TABLE suggestion(
  id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES image,
  run_id INTEGER NOT NULL REFERENCES run, created INTEGER NOT NULL, content TEXT NOT NULL,
  fingerprint TEXT NOT NULL, backend TEXT NOT NULL, base_url TEXT NOT NULL, models TEXT NOT NULL,
  profile TEXT NOT NULL, caption TEXT NOT NULL, keywords TEXT NOT NULL, description TEXT NOT NULL,
  keyword_json TEXT NOT NULL, notes TEXT NOT NULL, answers TEXT NOT NULL, existing TEXT NOT NULL,
  timing TEXT NOT NULL, duration_ms INTEGER NOT NULL, confidence REAL,
  new_keywords INTEGER NOT NULL DEFAULT 0, disagreement REAL NOT NULL DEFAULT 0) STRICT;
CREATE INDEX suggestion_confidence ON suggestion(id, confidence, new_keywords, disagreement);
CREATE INDEX suggestion_models ON suggestion(models);
CREATE INDEX suggestion_image ON suggestion(image_id, id);
CREATE INDEX suggestion_asked ON suggestion(content, fingerprint);
CREATE TABLE decision(
  id INTEGER PRIMARY KEY, image_id INTEGER NOT NULL REFERENCES image, suggestion_id INTEGER,
  run_id INTEGER NOT NULL REFERENCES run, at INTEGER NOT NULL, made_by TEXT NOT NULL,
  kind TEXT NOT NULL, state_before TEXT NOT NULL, previous_id INTEGER, tags TEXT NOT NULL,
  is_caption_edited INTEGER NOT NULL, is_description_edited INTEGER NOT NULL,
  removed TEXT NOT NULL, write_state TEXT NOT NULL DEFAULT 'none',
  write_after INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX decision_image ON decision(image_id, id);
CREATE INDEX decision_intended ON decision(id) WHERE write_state = 'intended';
CREATE TABLE write_journal(
  id INTEGER PRIMARY KEY, decision_id INTEGER NOT NULL REFERENCES decision,
  image_id INTEGER NOT NULL REFERENCES image, at INTEGER NOT NULL, target TEXT NOT NULL,
  target_path BLOB, is_changed INTEGER NOT NULL, identity_before TEXT NOT NULL,
  identity_after TEXT NOT NULL, before TEXT NOT NULL, notes TEXT NOT NULL,
  undo BLOB NOT NULL, state TEXT NOT NULL, undo_note TEXT NOT NULL DEFAULT '') STRICT;
CREATE INDEX write_journal_open ON write_journal(state, id) WHERE state NOT IN ('done', 'undone');
CREATE INDEX write_journal_image ON write_journal(image_id, id);
CREATE INDEX write_journal_decision ON write_journal(decision_id);
CREATE TABLE draft(
  image_id INTEGER PRIMARY KEY REFERENCES image, tags TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE act(
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, label TEXT NOT NULL, state TEXT NOT NULL) STRICT;
CREATE INDEX act_state ON act(state, id);
CREATE TABLE act_change(
  act_id INTEGER NOT NULL REFERENCES act, image_id INTEGER NOT NULL REFERENCES image,
  state TEXT NOT NULL, decision_id INTEGER, draft_before TEXT, draft_after TEXT,
  PRIMARY KEY(act_id, image_id)) STRICT, WITHOUT ROWID;
CREATE INDEX act_change_state ON act_change(act_id, state, image_id);
CREATE INDEX act_change_image ON act_change(image_id);
CREATE TABLE correction(
  decision_id INTEGER NOT NULL REFERENCES decision, kind TEXT NOT NULL, wrong TEXT NOT NULL,
  better TEXT NOT NULL, PRIMARY KEY(decision_id, kind, wrong)) STRICT, WITHOUT ROWID;
CREATE INDEX correction_wrong ON correction(kind, wrong, better);
CREATE TABLE kin(image_id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL) STRICT;
CREATE INDEX kin_group ON kin(group_id, image_id);
CREATE TABLE hash_band(
  folder_id INTEGER NOT NULL, band INTEGER NOT NULL, image_id INTEGER NOT NULL,
  PRIMARY KEY(folder_id, band, image_id)) STRICT, WITHOUT ROWID;
CREATE TABLE picture_vector(
  content TEXT PRIMARY KEY, kind TEXT NOT NULL, vector BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE VIEW person_accept AS
  SELECT d.id AS decision_id, d.tags, i.content, i.preview
  FROM decision d JOIN image i ON i.id = d.image_id AND i.decision_id = d.id
  WHERE d.kind='accept' AND d.made_by='person';
CREATE TABLE keyword_use(
  folded TEXT PRIMARY KEY, keyword TEXT NOT NULL, uses INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE keyword_word(
  start TEXT NOT NULL, folded TEXT NOT NULL, PRIMARY KEY(start, folded)) STRICT, WITHOUT ROWID;
CREATE TABLE work(
  image_id INTEGER PRIMARY KEY REFERENCES image, run_id INTEGER NOT NULL REFERENCES run,
  priority INTEGER NOT NULL, position INTEGER NOT NULL, is_claimed INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0, hint TEXT NOT NULL DEFAULT '',
  stage TEXT NOT NULL DEFAULT '', is_redo INTEGER NOT NULL DEFAULT 0) STRICT;
CREATE INDEX work_order ON work(run_id, is_claimed, priority DESC, attempts, position);
CREATE INDEX work_position ON work(position);
CREATE INDEX work_ahead ON work(run_id, image_id) WHERE priority > 0;
CREATE TABLE outcome(
  run_id INTEGER NOT NULL REFERENCES run, image_id INTEGER NOT NULL REFERENCES image,
  at INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
  note TEXT NOT NULL DEFAULT '', is_reported INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(run_id, image_id)) STRICT, WITHOUT ROWID;
CREATE INDEX outcome_unreported ON outcome(run_id, at) WHERE is_reported = 0;
CREATE TABLE request(
  run_id INTEGER NOT NULL, id INTEGER NOT NULL, image_id INTEGER NOT NULL, at INTEGER NOT NULL,
  stages TEXT NOT NULL, model TEXT NOT NULL, attempts INTEGER NOT NULL, reason TEXT NOT NULL,
  total_ms INTEGER NOT NULL, ttft_ms INTEGER, prompt_tokens INTEGER, completion_tokens INTEGER,
  PRIMARY KEY(run_id, id)) STRICT, WITHOUT ROWID;
CREATE TABLE wish(
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind TEXT NOT NULL, value TEXT NOT NULL,
  image_id INTEGER) STRICT;
CREATE INDEX wish_image ON wish(image_id) WHERE image_id IS NOT NULL;
CREATE TABLE lease(
  id INTEGER PRIMARY KEY CHECK (id = 1), pid INTEGER NOT NULL, host TEXT NOT NULL,
  started INTEGER NOT NULL, heartbeat INTEGER NOT NULL, activity TEXT NOT NULL) STRICT;
CREATE TABLE memory(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE VIEW words AS SELECT i.id AS id,
  spaced(CASE WHEN d.id IS NULL THEN s.caption ELSE json_extract(d.tags, '$.caption') END)
    AS caption,
  char(57344, 32) || spaced(CASE WHEN d.id IS NULL THEN
      coalesce((SELECT group_concat(value, char(32, 57344, 32))
        FROM json_each(s.existing, '$.keywords')), '') || char(32, 57344, 32) ||
      replace(s.keywords, char(10), char(32, 57344, 32))
    ELSE coalesce((SELECT group_concat(json_extract(value, '$.keyword'), char(32, 57344, 32))
      FROM json_each(d.tags, '$.keywords')), '')
    END) || char(32, 57344) AS keywords,
  spaced(CASE WHEN d.id IS NULL THEN s.description ELSE json_extract(d.tags, '$.description') END)
    AS description
FROM image i JOIN suggestion s ON s.id = i.suggestion_id
  LEFT JOIN decision d ON d.id = i.decision_id AND d.kind = 'accept';
CREATE VIRTUAL TABLE fts USING fts5(caption, keywords, description,
  content='words', content_rowid='id', tokenize="unicode61 remove_diacritics 2");
CREATE TRIGGER words_bu BEFORE UPDATE OF suggestion_id, decision_id ON image BEGIN
  INSERT INTO fts(fts, rowid, caption, keywords, description)
    SELECT 'delete', id, caption, keywords, description FROM words WHERE id = old.id; END;
CREATE TRIGGER words_au AFTER UPDATE OF suggestion_id, decision_id ON image BEGIN
  INSERT INTO fts(rowid, caption, keywords, description)
    SELECT id, caption, keywords, description FROM words WHERE id = new.id; END;
CREATE TRIGGER words_bd BEFORE DELETE ON image BEGIN
  INSERT INTO fts(fts, rowid, caption, keywords, description)
    SELECT 'delete', id, caption, keywords, description FROM words WHERE id = old.id; END;
CREATE TRIGGER existing_bu BEFORE UPDATE OF existing ON suggestion BEGIN
  INSERT INTO fts(fts, rowid, caption, keywords, description)
    SELECT 'delete', w.id, w.caption, w.keywords, w.description FROM words w
    JOIN image i ON i.id = w.id WHERE i.id = old.image_id AND i.suggestion_id = old.id; END;
CREATE TRIGGER existing_au AFTER UPDATE OF existing ON suggestion BEGIN
  INSERT INTO fts(rowid, caption, keywords, description)
    SELECT w.id, w.caption, w.keywords, w.description FROM words w
    JOIN image i ON i.id = w.id WHERE i.id = new.image_id AND i.suggestion_id = new.id; END;
CREATE TABLE tally(
  folder_id INTEGER NOT NULL, state TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY(folder_id, state)) STRICT, WITHOUT ROWID;
CREATE TRIGGER image_ai AFTER INSERT ON image WHEN new.state <> 'discovered' BEGIN
  INSERT INTO tally VALUES (new.folder_id, new.state, 1) ON CONFLICT DO UPDATE SET n = n + 1; END;
CREATE TRIGGER image_ad AFTER DELETE ON image WHEN old.lead_id IS NULL BEGIN
  UPDATE tally SET n = n - 1 WHERE folder_id = old.folder_id AND state = old.state; END;
CREATE TRIGGER image_au AFTER UPDATE OF state, folder_id, lead_id ON image
  WHEN old.state <> new.state OR old.folder_id <> new.folder_id OR old.lead_id IS NOT new.lead_id
  BEGIN
  UPDATE tally SET n = n - 1
    WHERE old.lead_id IS NULL AND folder_id = old.folder_id AND state = old.state;
  INSERT INTO tally SELECT new.folder_id, new.state, 1 WHERE new.lead_id IS NULL
    ON CONFLICT DO UPDATE SET n = n + 1; END;
"""

MIGRATIONS: tuple[str, ...] = (_VERSION_1,)
"""``MIGRATIONS[n]`` takes a library from version n to n + 1 (``PRAGMA user_version``)."""
