"""How profiles answer to what they are sent."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature, window_words


def declare(context: Context) -> Sequence[Feature]:
    """Contacts, responses, and the share of contacts that were answered.

    A response that belongs to no contact of the data counts too, so `response_share` may pass 1; it is null without
    contacts. `n_contact_days` are the days with any row, such as a contact, a response or a bounce.
    """
    cells = context.table("contacts.cells")
    features = []
    for suffix, window in context.spans().items():
        words = window_words(window)
        features += [
            Feature(
                f"n_contacts{suffix}",
                cells.sum("n_contacts", window=window),
                f"messages received{words}",
                f"was contacted {{value}} times{words}",
                "times",
            ),
            Feature(
                f"n_responses{suffix}",
                cells.sum("n_responses", window=window),
                f"responses{words}",
                f"responded {{value}} times{words}",
                "times",
            ),
        ]
    return [
        *features,
        Feature(
            "n_contact_days",
            cells.count_days(),
            "days with a message, a response or a bounce",
            "in touch on {value} days",
            "days",
            in_matrix=False,
        ),
        Feature(
            "response_share",
            cells.sum("n_responses") / cells.sum("n_contacts"),
            "responses per message",
            "responds to {value} of messages",
            "share",
        ),
    ]


FAMILY = Family("engagement", "contacts", declare)
