"""The studio: the transformer in a browser, on numbers that the model computed and a server hands out."""
