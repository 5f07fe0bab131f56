"""Models on this disk: found where other programs keep them, paired, and chosen."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest

from imageworks.config import PersonalTaggerConfig
from imageworks.errors import BackendError, ConfigError
from imageworks.infer import embedded_models, embedded_server
from imageworks.infer.embedded_models import (
    LOOPBACK_URL,
    LocalModel,
    ModelPlace,
    best_model,
    find_models,
    free_memory_bytes,
    model_places,
    named_model,
    with_embedded_model,
)
from imageworks.infer.factory import choose_backend
from tests.support.gguf_files import write_model, write_projector

GIB = 2**30


def places_of(home, **environment):
    return model_places(home / "own", environment=environment, home=home)


# -- finding ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("own/qwen3-vl-4b", "ptag"),
        (".cache/llama.cpp", "llama.cpp"),
        (".lmstudio/models/lmstudio-community/Some-GGUF", "LM Studio"),
        (".cache/lm-studio/models/publisher/Some-GGUF", "LM Studio"),
        (".cache/huggingface/hub/models--org--Some-GGUF/snapshots/abc", "Hugging Face"),
    ],
)
def test_models_are_found_where_each_program_keeps_them(tmp_path, folder, source):
    model = write_model(tmp_path / folder / "Some-Q4_K_M.gguf")
    projector = write_projector(tmp_path / folder / "mmproj-Some-F16.gguf")

    (found,) = find_models(places_of(tmp_path))

    assert (found.model_path, found.projector_path) == (model, projector)
    assert (found.source, found.name, found.quantization) == (source, "Some VLM", "Q4_K_M")
    assert found.size_bytes == model.stat().st_size + projector.stat().st_size
    assert found.is_usable


def test_programs_own_variables_name_other_folders(tmp_path):
    for name in ("cache", "llama", "hub", "hf"):
        write_model(tmp_path / name / name / "a.gguf", name)
        write_projector(tmp_path / name / name / "mmproj-a.gguf")

    places = places_of(
        tmp_path, LLAMA_CACHE=str(tmp_path / "llama"), HF_HUB_CACHE=str(tmp_path / "hub")
    )
    found = {model.name: model.source for model in find_models(places)}

    assert found == {"llama": "llama.cpp", "hub": "Hugging Face"}
    hf_home = places_of(tmp_path, HF_HOME=str(tmp_path / "hf"), XDG_CACHE_HOME=str(tmp_path))
    assert ModelPlace("Hugging Face", tmp_path / "hf" / "hub") in hf_home
    assert ModelPlace("llama.cpp", tmp_path / "llama.cpp") in hf_home


def test_model_without_a_projector_beside_it_is_no_vision_model(tmp_path):
    write_model(tmp_path / "own" / "text.gguf")
    write_projector(tmp_path / "own" / "other" / "mmproj.gguf")

    assert find_models(places_of(tmp_path)) == ()


def test_each_model_gets_the_projector_of_its_width_and_name(tmp_path):
    folder = tmp_path / ".cache" / "llama.cpp"
    write_model(folder / "org_Alpha-4B-GGUF_Alpha-4B-Q4_K_M.gguf", "alpha")
    write_projector(folder / "org_Alpha-4B-GGUF_mmproj-Alpha-4B-f16.gguf")
    write_model(folder / "org_Beta-4B-GGUF_Beta-4B-Q4_K_M.gguf", "beta")
    write_projector(folder / "org_Beta-4B-GGUF_mmproj-Beta-4B-f16.gguf")
    write_model(folder / "org_Beta-8B-GGUF_Beta-8B-Q4_K_M.gguf", "beta8", width=256)

    found = {model.name: model.projector_path.name for model in find_models(places_of(tmp_path))}

    assert found == {
        "alpha": "org_Alpha-4B-GGUF_mmproj-Alpha-4B-f16.gguf",
        "beta": "org_Beta-4B-GGUF_mmproj-Beta-4B-f16.gguf",
    }


def test_width_of_an_old_projector_says_nothing(tmp_path):
    write_model(tmp_path / "own" / "llava.gguf", width=4096)
    write_projector(
        tmp_path / "own" / "mmproj.gguf", width=768, more={"clip.projector_type": "mlp"}
    )

    assert len(find_models(places_of(tmp_path))) == 1


def test_split_model_is_found_once_by_its_first_part(tmp_path):
    for part in (1, 2, 3):
        write_model(tmp_path / "own" / f"big-{part:05}-of-00003.gguf")
    write_projector(tmp_path / "own" / "mmproj-big.gguf")

    (found,) = find_models(places_of(tmp_path))

    assert found.model_path.name == "big-00001-of-00003.gguf"


def test_folder_with_too_many_files_is_not_searched_for_ever(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(embedded_models, "_MOST_FILES", 2)
    for name in ("a.gguf", "mmproj.gguf"):
        write_projector(tmp_path / "own" / name)
    write_model(tmp_path / "own" / "z.gguf")

    assert find_models(places_of(tmp_path)) == ()
    assert "too many" in caplog.text


def test_broken_files_and_links_are_passed_over(tmp_path):
    folder = tmp_path / "own"
    write_model(folder / "good.gguf", "")
    write_projector(folder / "mmproj.gguf")
    (folder / "bad.gguf").write_bytes(b"GGUFxx")
    (folder / "gone.gguf").symlink_to(folder / "nowhere")
    (folder / "loop").symlink_to(folder)

    (found,) = find_models(places_of(tmp_path))

    assert found.name == "good"


def test_model_that_two_places_share_is_listed_once(tmp_path):
    write_model(tmp_path / "own" / "a.gguf")
    write_projector(tmp_path / "own" / "mmproj.gguf")
    (tmp_path / ".lmstudio").mkdir()
    (tmp_path / ".lmstudio" / "models").symlink_to(tmp_path / "own")

    assert [model.source for model in find_models(places_of(tmp_path))] == ["ptag"]


# -- Ollama ----------------------------------------------------------------------------


def ollama(folder, tag, *files, media=("model", "projector")):
    """Puts files into Ollama's store under a tag."""
    layers = []
    for path, kind in zip(files, media, strict=False):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        blob = folder / "blobs" / f"sha256-{digest}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        path.replace(blob)
        layers.append(
            {"mediaType": f"application/vnd.ollama.image.{kind}", "digest": f"sha256:{digest}"}
        )
    name, _, version = tag.partition(":")
    manifest = folder / "manifests" / "registry.ollama.ai" / "library" / name / version
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    return manifest


def test_ollamas_manifests_lead_to_the_blobs(tmp_path):
    store = tmp_path / ".ollama" / "models"
    model, projector = write_model(tmp_path / "m"), write_projector(tmp_path / "p")
    ollama(store, "llava:7b", model, projector)

    (found,) = find_models(places_of(tmp_path))

    assert (found.name, found.source) == ("llava:7b", "Ollama")
    assert found.model_path.parent == store / "blobs"
    assert found.projector_path is not None
    assert found.is_usable


def test_ollamas_own_conversion_is_listed_but_not_used(tmp_path):
    model = write_model(tmp_path / "m", more={"qwen2vl.vision.block_count": 24})
    ollama(tmp_path / "elsewhere", "qwen2.5vl:7b", model)

    (found,) = find_models(places_of(tmp_path, OLLAMA_MODELS=str(tmp_path / "elsewhere")))

    assert not found.is_usable
    assert "--backend ollama" in found.obstacle
    assert best_model([found], available_bytes=100 * GIB) is None


def test_text_models_of_ollama_are_left_out(tmp_path):
    ollama(tmp_path / ".ollama" / "models", "llama3:8b", write_model(tmp_path / "m"))

    assert find_models(places_of(tmp_path)) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b'{"layers": 3}',
        b'{"layers": [3, {"mediaType": "application/vnd.ollama.image.model"}]}',
        b'{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "../x"}]}',
        b"[" * 100_000,
        b" " * (1024 * 1024 + 1),
    ],
)
def test_hostile_manifests_lead_nowhere(tmp_path, content):
    manifest = tmp_path / ".ollama/models/manifests/host/library/x/latest"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(content)

    assert find_models(places_of(tmp_path)) == ()


# -- choosing --------------------------------------------------------------------------


def sized(name, gigabytes, source="LM Studio"):
    return LocalModel(
        name, Path(f"/{name}.gguf"), Path("/p"), source, size_bytes=int(gigabytes * 1e9)
    )


@pytest.mark.parametrize(
    ("free_gb", "expected"), [(40, "middle"), (8, "middle"), (4, "small"), (1, "small")]
)
def test_largest_model_that_fits_is_the_best(free_gb, expected):
    models = [sized("small", 1.5), sized("middle", 6), sized("huge", 17)]

    chosen = best_model(models, available_bytes=int(free_gb * 1e9))

    assert chosen is not None
    assert chosen.name == expected


def test_fetched_model_goes_before_a_larger_one():
    models = [sized("theirs", 6), sized("ours", 3, "ptag")]

    chosen = best_model(models, available_bytes=64 * GIB)

    assert chosen is models[1]


def test_without_models_there_is_no_best():
    assert best_model([], available_bytes=GIB) is None


def test_free_memory_is_read_from_the_system():
    assert 0 < free_memory_bytes() < 2**50


def test_named_files_are_taken(tmp_path):
    model = write_model(tmp_path / "m.gguf", "Mine")
    projector = write_projector(tmp_path / "elsewhere" / "p.gguf")

    found = named_model(model, projector)

    assert (found.name, found.projector_path) == ("Mine", projector)
    assert "Mine (Q4_K_M, 0.0 GB, named)" in found.describe()


def test_projector_beside_a_named_model_is_found(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    projector = write_projector(tmp_path / "mmproj-m.gguf")

    assert named_model(model, None).projector_path == projector


def test_named_model_needs_its_projector(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    write_projector(tmp_path / "deeper" / "mmproj.gguf")

    with pytest.raises(ConfigError, match="mmproj") as caught:
        named_model(model, None)

    assert caught.value.reason == "mmproj-missing"


def test_files_in_each_others_place_are_refused(tmp_path):
    model = write_model(tmp_path / "m.gguf")
    projector = write_projector(tmp_path / "p.gguf")

    with pytest.raises(ConfigError, match="is a projector"):
        named_model(projector, model)
    with pytest.raises(ConfigError, match="not a projector for pictures"):
        named_model(model, model)


def own_model(folder, name="Own VLM"):
    write_model(folder / "own" / "Own-VLM-Q4_K_M.gguf", name)
    write_projector(folder / "own" / "mmproj.gguf")
    return folder


def test_settings_name_the_model_that_will_answer(tmp_path):
    model = write_model(tmp_path / "m.gguf", "Mine")
    projector = write_projector(tmp_path / "mmproj.gguf")
    config = PersonalTaggerConfig(backend="embedded", embedded_model=model)

    filled, message = with_embedded_model(config, tmp_path / "none")

    assert set(filled.models().values()) == {filled.model} == {"Mine"}
    assert filled.embedded_mmproj == projector
    assert filled.base_url == (LOOPBACK_URL,)
    assert "Mine" in message


def test_best_model_of_the_disk_is_taken_and_named(tmp_path):
    own = own_model(tmp_path)

    filled, message = with_embedded_model(PersonalTaggerConfig(backend="embedded"), own)

    assert filled.model == "Own VLM"
    assert "Own VLM" in message
    assert "best found" in message


@pytest.mark.parametrize("name", ["own vlm", "Own-VLM-Q4_K_M.gguf", "org/own-vlm-q4_k_m"])
def test_model_setting_chooses_among_those_found(tmp_path, name):
    own = own_model(tmp_path)
    write_model(tmp_path / "own2" / "big.gguf", "Big", {"pad": "x" * 5000})
    write_projector(tmp_path / "own2" / "mmproj.gguf")
    config = PersonalTaggerConfig(backend="embedded", model=name)

    filled, _ = with_embedded_model(config, own)

    assert filled.model == "Own VLM"


def test_model_that_is_not_there_is_never_replaced(tmp_path):
    config = PersonalTaggerConfig(backend="embedded", model="qwen3-vl-8b")

    with pytest.raises(BackendError, match="There is: Own VLM") as caught:
        with_embedded_model(config, own_model(tmp_path))

    assert caught.value.reason == "model-missing"


def test_empty_disk_says_how_to_get_a_model(tmp_path):
    with pytest.raises(BackendError) as caught:
        with_embedded_model(PersonalTaggerConfig(backend="embedded"), tmp_path)

    assert "ptag embedded get" in caught.value.hint


# -- auto ------------------------------------------------------------------------------


async def test_auto_falls_back_to_a_model_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: True)
    config = PersonalTaggerConfig(backend="auto")

    chosen, message = await choose_backend(config, candidates=(), models_folder=own_model(tmp_path))

    assert (chosen.backend, chosen.model) == ("embedded", "Own VLM")
    assert "no model server answers" in message


@pytest.mark.parametrize(("is_installed", "has_model"), [(True, False), (False, True)])
async def test_auto_is_builtin_without_runtime_or_model(
    tmp_path, monkeypatch, is_installed, has_model
):
    monkeypatch.setattr(embedded_server, "is_runtime_installed", lambda: is_installed)
    folder = own_model(tmp_path) if has_model else tmp_path
    config = PersonalTaggerConfig(backend="auto")

    chosen, _ = await choose_backend(config, candidates=(), models_folder=folder)

    assert chosen.backend == "builtin"


def test_settings_keep_the_files_through_the_library(tmp_path):
    config = PersonalTaggerConfig(embedded_model=Path("a.gguf"), embedded_mmproj=Path("b.gguf"))
    absolute = config.with_absolute_paths(tmp_path)

    assert absolute.embedded_model == tmp_path / "a.gguf"
    assert absolute.embedded_mmproj == tmp_path / "b.gguf"
    assert PersonalTaggerConfig.from_json(absolute.to_json()) == absolute
    assert dataclasses.replace(absolute, embedded_model=None).to_json() != absolute.to_json()
