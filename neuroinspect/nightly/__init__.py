"""What a night looks at, and whether it has anything new to ask. The flow `nightly` brings the tools."""

from neuroinspect.nightly.folders import class_folder, night_folder, share_stages
from neuroinspect.nightly.naming import model_label, safe_name, short_version
from neuroinspect.nightly.news import News, answered_neurons, find_news, new_when_asked
from neuroinspect.nightly.night import ClassNight, Night, night_key, nightly_params, of_class, worst_classes

__all__ = [
    "ClassNight",
    "News",
    "Night",
    "answered_neurons",
    "class_folder",
    "find_news",
    "model_label",
    "new_when_asked",
    "night_folder",
    "night_key",
    "nightly_params",
    "of_class",
    "safe_name",
    "share_stages",
    "short_version",
    "worst_classes",
]
