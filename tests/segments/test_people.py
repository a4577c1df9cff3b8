import pytest

from gpuseg.segments.people import network, people_of


@pytest.mark.parametrize(
    ("names", "many"),
    [
        (["n_orders_30d", "n_sessions"], "customers"),
        (["share_Wine"], "customers"),
        (["is_lapsed"], "customers"),
        (["n_sessions_90d", "n_social_actions"], "visitors"),
        (["n_intent_events"], "visitors"),
        (["share_on_tiktok", "n_social_actions_30d"], "followers"),
        (["rating_mean"], "customers"),
        (["n_contacts", "response_share"], "contacts"),
        (["n_social_actions", "n_feedback"], "people"),
        (["age"], "people"),
        ([], "people"),
    ],
)
def test_people_are_called_by_what_is_known_of_them(names, many):
    assert people_of(names).many == many
    assert people_of(reversed(names)) == people_of(names)


def test_known_networks_keep_their_spelling():
    assert [network(name) for name in ("tiktok", "YOUTUBE", "blip", "")] == ["TikTok", "YouTube", "blip", ""]
