"""Judging edits on samples that selected nothing: figures with intervals, differences to the controls, the verdict."""
