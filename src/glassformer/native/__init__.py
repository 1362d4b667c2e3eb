"""What is computed in C++, for the engine and for training: one library for each kind of processor."""
