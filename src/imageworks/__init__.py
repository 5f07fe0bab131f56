"""Personal Tagger: review a vision model's captions and keywords in a terminal, then write XMP."""
