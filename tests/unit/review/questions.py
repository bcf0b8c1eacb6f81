"""Questions that the tests of the review answer."""

from neuroinspect.review import Candidate, ReviewRequest, open_request


def request_of(*candidates: tuple[int, str, float], model: str = "m", class_name: str = "fish") -> ReviewRequest:
    return open_request(
        [Candidate(neuron=neuron, direction=direction, vote_share=share) for neuron, direction, share in candidates],
        class_name=class_name,
        class_index=3,
        model=model,
        data_version="d",
    )


REQUEST = request_of((3, "insufficient", 0.5), (17, "both", 0.9), (8, "excessive", 1.0), (2, "insufficient", 0.5))
