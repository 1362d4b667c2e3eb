"""Text in, ids out: tokenizers loaded, trained and saved, with the characters that each token came from."""
