"""The questions that a page answers: which charts each shows, and what none of them can."""

from typing import Final, NamedTuple

from probe.locale import marked


class Question(NamedTuple):
    """One page. ``kinds`` are charts by their names in `analysis.views`, in order.

    ``limits`` are what this page cannot show, beside what none can (`LIMITS`).
    """

    title: str
    lead: str
    kinds: tuple[str, ...]
    limits: tuple[str, ...] = ()


QUESTIONS: Final = {
    "overview": Question(
        marked("Is it me or is it censorship, how is it done, what gets around it?"),
        marked("The three answers of the latest run, and how it was before."),
        ("timeline", "layers"),
    ),
    "blocked": Question(
        marked("Is it me or is it censorship?"),
        marked(
            "States and shares by day, who measured, and what failed on the measurer's own side."
        ),
        ("timeline", "heatmap", "coverage"),
        (
            marked(
                "A share counts measurements that fail, for whatever reason. Of OONI's there are "
                "no controls of ours beside them, so each failure is “cause unclear”, never "
                "“blocked”."
            ),
        ),
    ),
    "how": Question(
        marked("How is it done?"),
        marked("Mechanisms by day, the layer where it fails, data centres, and speed."),
        ("mechanisms", "layers", "centres", "speed"),
        (
            marked(
                "A mechanism is what the client sees. Two devices can look alike, and one can do "
                "several things; whose order it follows is not seen at all."
            ),
            marked(
                "Speed is compared with controls on the same line. Of a line that is slow to all, "
                "it says nothing about the target."
            ),
        ),
    ),
    "around": Question(
        marked("What gets around it?"),
        marked("Ways that were tried, where they worked, and how many people use one."),
        ("ways", "circumvention"),
        (
            marked("A way around that worked here, then, may not work elsewhere or later."),
            marked(
                "Ways are tried where the direct way fails, and only by those who asked for it."
            ),
            marked(
                "Counts of users of Tor estimate clients connected at the same time, not people, "
                "and that two lines move together does not say that one moved the other."
            ),
        ),
    ),
    "when": Question(
        marked("When did it begin and end?"),
        marked(
            "Onsets and liftings with intervals, countries side by side, and what happened then."
        ),
        ("onsets", "world", "circumvention"),
        (
            marked(
                "An onset is a change of the share that fails. That an event lies near one does "
                "not make it the cause."
            ),
            marked(
                "Blocks shorter than a few measurements' distance, and slow drift, are not found."
            ),
        ),
    ),
}
"""Every page by the name that a command calls it."""

LIMITS: Final = (
    marked(
        "Results come from the networks of those who measured, and hold for these only; a country "
        "is not its volunteers."
    ),
    marked("Days without data are shown as such. They are not days without blocking."),
    marked(
        "No control outside the network was asked: a service that is down everywhere looks like "
        "one that is blocked at its addresses, unless several of its networks fail at once."
    ),
    marked(
        "Intervals say how far chance alone may be off. They do not know who chose to measure, or "
        "why."
    ),
)
"""What no page can show."""

COMPARISON_LIMITS: Final = (
    marked(
        "Two sides may have been measured by different people, in different networks, at other "
        "hours. A difference can be that alone; no cause of any difference is shown here."
    ),
    marked(
        "“No difference seen” does not mean that there is none: the interval says how large one "
        "could have been missed."
    ),
)
"""What a comparison cannot show beside these."""
