"""Prefect flows over the stages: `debug` up to the review, `edit` after it. Import it when `Machinery.enter` has been called."""
