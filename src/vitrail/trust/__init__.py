"""How far a model's answers are to be trusted: pure functions over arrays of logits and labels."""
