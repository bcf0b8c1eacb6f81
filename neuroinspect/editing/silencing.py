"""Silencing: the weights of the chosen neurons and their family for their class are set to 0, and nothing is trained."""

from neuroinspect.editing.problem import EditProblem, Try
from neuroinspect.masking import neuron_family
from neuroinspect.settings import EditSettings


def silencing_tries(problem: EditProblem, settings: EditSettings) -> list[Try]:
    """One try for each size of the family; other classes keep their weights."""
    largest = max(settings.family_sizes)
    families = {
        index: neuron_family(problem.validation_features, chosen, labels=problem.validation_labels, size=largest)
        for index, chosen in problem.neurons.items()
    }
    tries = []
    for size in settings.family_sizes:
        weight = problem.weight.clone()
        for index, chosen in problem.neurons.items():
            weight[index, [*chosen, *families[index][:size]]] = 0.0
        tries.append(Try({"family_size": size}, weight, problem.bias, trained=False))
    return tries
