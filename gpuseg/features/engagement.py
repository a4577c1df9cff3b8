"""How profiles answer to what they are sent."""

from collections.abc import Sequence

from gpuseg.features.algebra import Context, Family, Feature


def declare(context: Context) -> Sequence[Feature]:
    """Contacts, responses, and the share of contacts that were answered.

    A response that belongs to no contact of the data counts too, so `response_share` may pass 1; it is null without
    contacts. `n_contact_days` are the days with any row, such as a contact, a response or a bounce.
    """
    cells = context.table("contacts.cells")
    features = []
    for window in context.spans:
        contacts, responses = cells.sum("n_contacts", window=window), cells.sum("n_responses", window=window)
        features += [
            Feature("n_contacts", contacts, "messages received", "was contacted {value} times", "times").over(window),
            Feature("n_responses", responses, "responses", "responded {value} times", "times").over(window),
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
            "gives {value} responses a message",
            "responses",
        ),
    ]


FAMILY = Family("engagement", "contacts", declare)
