"""Words by which other systems name what people do, sorted into a few classes each.

Event names of Google Analytics 4 (recommended events), Segment's e-commerce specification, Shopify's customer events,
Matomo, and open clickstreams. Comparison is on lower case with spaces and dashes as underscores.
"""

from collections.abc import Mapping


def _sorted_in(**classes: str) -> Mapping[str, str]:
    return {word: name for name, words in classes.items() for word in words.split()}


WEB_WORDS = _sorted_in(
    view="""view page_view pageview page page_viewed view_page screen_view screen session_start first_visit
        user_engagement scroll main home visit path_start catalog view_item_list product_list_viewed
        collection_viewed category select_content promo promo_page landing landing_page account
        account_page profile help""",
    search="""search view_search_results site_search search_submitted products_searched filter filters
        filter_results product_list_filtered""",
    product="""product view_item product_view product_viewed item_view view_product product1 product2 detail
        product_clicked select_item add_to_wishlist product_added_to_wishlist wishlist wishlist_add compare
        review_page reviews""",
    cart="""cart add_to_cart addtocart add_cart product_added product_added_to_cart view_cart cart_viewed basket
        add_to_basket cart_add""",
    checkout="""checkout begin_checkout checkout_started initiate_checkout add_shipping_info add_payment_info
        checkout_step_viewed checkout_step_completed payment_info_entered delivery_choice delivery_choice_courier
        delivery_choice_pickup payment_choice payment_card payment_cash payment shipping_details payment_details
        shipping delivery""",
    purchase="""purchase purchased order transaction order_completed checkout_completed order_placed
        payment_done confirmation conversion sale buy bought ecommerce_purchase in_app_purchase""",
    other="""remove_from_cart product_removed refund order_refunded path_end session_end lost logout login sign_up
        error error_page exception payment_error checkout_bug support_chat chat""",
)

WEB_PATHS = _sorted_in(
    search="search suche recherche",
    product="product products item items p dp produkt",
    cart="cart basket bag warenkorb panier",
    checkout="checkout kasse payment",
    purchase="thank-you thank_you thanks order-confirmation confirmation order-received",
)

SOCIAL_WORDS = _sorted_in(
    create="""comment commented share shared post posted mention mentioned reply replied review reviewed repost
        retweet quote tweet story upload message""",
    react="""like liked follow followed favorite favourite reaction react love upvote save saved view viewed click
        clicked subscribe join""",
    other="unfollow unlike unsubscribe block report leave downvote",
)

CONTACT_WORDS = _sorted_in(
    contact="""contact contacted sent send delivered deliver email_sent email_delivered sms_sent push_sent mail call
        called impression campaign mailing received""",
    response="""response responded open opened email_open email_opened click clicked email_click email_clicked reply
        replied redeem redeemed redemption convert converted conversion answered visit visited""",
    other="bounce bounced unsubscribe unsubscribed complaint failed dropped deferred spam",
)


def plain_word(word: str) -> str:
    """A word as the tables spell it."""
    return "_".join(word.strip().lower().replace("-", " ").replace("_", " ").split())
