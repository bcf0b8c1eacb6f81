"""What came of a review: how far its edit is, its figures beside the controls, and the way to promotion."""
