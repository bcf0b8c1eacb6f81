"""From a candidate to the champion: the policy, its rules, the trail, and the way back.

Command line and flow both go through `Promotions`, so the same rules hold everywhere.
"""

from neuroinspect.promotion.book import PromotionBook, VersionShelf
from neuroinspect.promotion.facts import Answer, Figures, Version, read_figures, read_version
from neuroinspect.promotion.policy import Bound, Policy, load_policy
from neuroinspect.promotion.promotions import CHAMPION, PREVIOUS, Judgement, Promotions
from neuroinspect.promotion.record import Promotion, Standing, standing
from neuroinspect.promotion.rules import Case, Rule, judge

__all__ = [
    "CHAMPION",
    "PREVIOUS",
    "Answer",
    "Bound",
    "Case",
    "Figures",
    "Judgement",
    "Policy",
    "Promotion",
    "PromotionBook",
    "Promotions",
    "Rule",
    "Standing",
    "Version",
    "VersionShelf",
    "judge",
    "load_policy",
    "read_figures",
    "read_version",
    "standing",
]
