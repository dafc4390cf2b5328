"""An environment, an algorithm, a mixer, a tokenizer and an experiment for icrl."""
