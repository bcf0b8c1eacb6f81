"""CLIP-Illusion: what does a neuron look like inside a class?"""

from neuroinspect.illusion.facets import facets, related_classes
from neuroinspect.illusion.objectives import Objective
from neuroinspect.illusion.relevance import core_relevance, pixel_masks
from neuroinspect.illusion.synthesize import Illusion, synthesize

__all__ = ["Illusion", "Objective", "core_relevance", "facets", "pixel_masks", "related_classes", "synthesize"]
