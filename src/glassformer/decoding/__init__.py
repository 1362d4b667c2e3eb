"""From probabilities to tokens: one loop, and the ways to score, choose and stop inside it."""
