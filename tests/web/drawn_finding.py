"""The finding of a drawn run: mistakes, the neurons they vote for, and pictures of these; the stages diagnose and visualize."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neuroinspect.artifacts import RunFolder, write_array, write_table
from neuroinspect.stages.neuron_names import NAME_COLUMNS
from neuroinspect.stages.neuron_pictures import ILLUSION_COLUMNS, REAL_COLUMNS, folder_name, real_range
from neuroinspect.stages.real_pictures import top_pictures
from tests.web import hostile
from tests.web.drawn_files import POOL, Size, finish, pictures, write_file

CUE_NEURONS = (2, 3)
PLAIN_WORDS = ("water", "sand", "wheel", "leaf", "window", "handle", "sky")
FEATURES = 320
_TOP_K = 5


def write_diagnosis(run: RunFolder, samples: pd.DataFrame, *, names: Sequence[str], count: int) -> pd.DataFrame:
    """Mistakes of class 0, the shifts that turn them right, and the neurons they vote for; the table of the neurons."""
    rows = np.flatnonzero((samples["target"] == 0) & (samples["prediction"] != 0))
    ranked = [*CUE_NEURONS, 1, 0, *range(4, count)]
    votes = [ranked[(number * number) % count if number >= count else number] for number in range(len(rows) * _TOP_K)]
    shifts = np.zeros((len(rows), FEATURES), dtype=np.float32)
    for number, neuron in enumerate(votes):
        shifts[number % len(rows), neuron] = 1.0 / (1 + number // len(rows))
    signs = np.array([-1.0 if place % 5 == 4 else 1.0 for place in range(count)])
    shifts[:, ranked] *= signs.astype(np.float32)
    share = (shifts != 0).mean(axis=0)
    order = sorted(range(count), key=lambda place: (-share[ranked[place]], ranked[place]))
    lines = []
    for place in order:
        neuron, excessive = ranked[place], signs[place] < 0
        direction = "excessive" if excessive else "both" if place % 7 == 5 else "insufficient"
        lines.append(
            {
                "class": names[0],
                "neuron": neuron,
                "direction": direction,
                "rank": 1 + sum(line["direction"] == direction for line in lines),
                "vote_share": float(max(share[neuron], 1 / len(rows))),
                "vote_share_insufficient": 0.0 if excessive else float(share[neuron]),
                "vote_share_excessive": float(share[neuron]) if excessive or direction == "both" else 0.0,
                "weight": float(signs[place] / (1 + place)),
                "probability_ratio": float(np.exp(signs[place] / (2 + place))),
                "activation_gap": float(signs[place] * 1.3 / (1 + place)),
                "mean_activation": 0.4,
            }
        )
    table = pd.DataFrame(lines)
    write_table(run.stage("diagnose") / "neurons.parquet", table)
    write_array(run.stage("diagnose") / "shifts.npy", shifts)
    mistakes = samples.iloc[rows]
    write_table(
        run.stage("diagnose") / "mistakes.parquet",
        pd.DataFrame(
            {
                "row": rows.astype(np.int64),
                "path": mistakes["path"].array,
                "label": mistakes["label"].array,
                "prediction": [names[label] for label in mistakes["prediction"]],
                "group": mistakes["group"].array,
                "steps": 4,
                "converged": True,
                "neurons_moved": _TOP_K,
                "shift_size": 1.0,
            }
        ),
    )
    size = int((samples["target"] == 0).sum())
    finding = {"status": "explained", "class": names[0], "class_index": 0, "mistakes": len(rows), "class_size": size}
    accuracy = {"class_accuracy": 1 - len(rows) / size, "class_accuracy_low": 0.2, "class_accuracy_high": 0.6}
    warning = f"class {names[0]!r} has only {size} pictures in the select split"
    finish(run, "diagnose", {**finding, **accuracy, "converged": len(rows), "neurons": count, "warnings": [warning]})
    return table


def write_pictures(
    run: RunFolder,
    neurons: pd.DataFrame,
    samples: pd.DataFrame,
    *,
    size: Size,
    names: Sequence[str],
    hostile_names: bool,
) -> None:
    """Pictures of the neurons, and a word for each."""
    stage, home = run.stage("visualize"), folder_name(names[0])
    large, small = pictures(size.sides[0]), pictures(size.sides[1])
    features = np.load(run.stage("extract") / "features.select.npy")
    shown = neurons.head(size.candidates if size.drawn is None else size.drawn)
    illusions, real = [], []
    for place, row in enumerate(shown.to_dict("records")):
        neuron = int(row["neuron"])
        stem, has_fv = f"{home}/{neuron}", place % 4 != 3
        for kind, shift in (("", 0), (".mask", 1), *((((".fv", 2),)) if has_fv else ())):
            write_file(stage / f"{stem}{kind}.png", large[(place + shift) % POOL])
        floor = real_range(features, neuron)
        values = (
            *(row[name] for name in ("class", "neuron", "direction", "rank")),
            f"{stem}.png",
            f"{stem}.mask.png",
            f"{stem}.fv.png" if has_fv else None,
            floor * (1.4 if place % 6 != 5 else 0.6),
            9.1,
            floor,
            place % 6 != 5,
            0,
            0.27,
            None if place % 5 == 4 else 0.95 - 0.6 * (neuron in CUE_NEURONS) - place / 1000,
        )
        illusions.append(dict(zip(ILLUSION_COLUMNS, values, strict=True)))
        for top in top_pictures(features, [neuron], count=size.real):
            sample, name = samples.iloc[top.row], f"{home}/real/{neuron}-{top.rank}.png"
            write_file(stage / name, small[(place + top.rank) % POOL])
            values = (names[0], neuron, top.rank, sample["path"], name, top.activation, sample["label"])
            real.append(dict(zip(REAL_COLUMNS, (*values, names[sample["prediction"]]), strict=True)))
    write_table(stage / "illusions.parquet", pd.DataFrame(illusions, columns=list(ILLUSION_COLUMNS)))
    write_table(stage / "real.parquet", pd.DataFrame(real, columns=list(REAL_COLUMNS)))
    words = hostile.WORDS if hostile_names else PLAIN_WORDS
    named = [
        (neuron, words[neuron % len(words)], 0.4, words[(neuron + 1) % len(words)], 0.2) for neuron in range(FEATURES)
    ]
    write_table(stage / "names.parquet", pd.DataFrame(named, columns=list(NAME_COLUMNS)))
    counts = {"illusions": len(illusions), "real_pictures": len(real)}
    finish(run, "visualize", {**counts, "reached": len(illusions), "warnings": [], "guide": "g" * 64})
