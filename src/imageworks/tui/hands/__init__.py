"""What a person's hands do on the review screen, one module for each kind of act."""
