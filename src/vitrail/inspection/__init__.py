"""Looking inside a model: capture, then arrays with known answers; drawing is elsewhere (`plots`)."""
