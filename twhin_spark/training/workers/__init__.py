"""Workers: the bodies of training tasks."""
