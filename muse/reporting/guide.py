"""The words of a report and what each means, for the paragraph "how to read this"."""

# ruff: noqa: RUF001  the times sign is explained here
GUIDE: tuple[tuple[str, str], ...] = (
    ("confirmed", "the measured interval lies inside the bound of the claim"),
    ("refuted", "the measured interval lies outside the bound"),
    ("inconclusive", "the measured interval straddles the bound, which decides nothing"),
    ("unmeasured", "it could not be measured, for the reason given; this never counts as confirmed"),
    ("stale", "the source of the model, the probe or the claim has changed since it was measured"),
    ("documented procedure", "the document's own procedure repeated, its mistakes included"),
    ("sound procedure", "the same quantity as it ought to be measured; it decides whether the sentence is true"),
    ("measured", "taken on the GPU named with the evidence"),
    ("emulated", "taken on a bigger GPU under a memory cap"),
    ("exact", "counted or computed, without a GPU"),
    ("predicted", "computed from fake tensors, without a GPU"),
    ("2.03 [1.97, 2.09]", "a value with the interval that its samples support"),
    ("—", "no value; the reason stands beside it. An empty field means that no claim takes this procedure"),
    ("GiB, MiB", "2³⁰ and 2²⁰ bytes; the documents print GB and MB and mean these"),
    ("order", "the exponent of a power law: 1 is linear, 2 is quadratic"),
    ("×", "a ratio of two quantities; a number without a unit is a count"),
)
