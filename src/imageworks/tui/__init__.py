"""The review workstation: the only room that imports Textual."""
