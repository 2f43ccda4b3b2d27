"""`card` of a recipe: passed through where it is right, refused where it is not."""

import pytest

from distill.errors import RecipeError
from distill.recipe_load import load_recipe, to_yaml

WHOLE = {
    "license": "cc-by-4.0",
    "language": ["en", "ko"],
    "datasets": ["owner/corpus"],
    "tags": ["legal"],
    "intended_use": "Search in contracts.",
    "limits": "Not for advice.",
    "training_data": "Contracts of 2020.",
}


def test_it_is_optional_and_comes_back_from_yaml(tmp_path):
    assert load_recipe("quickstart").card is None
    recipe = load_recipe("quickstart", {"card": WHOLE})
    (tmp_path / "r.yaml").write_text(to_yaml(recipe), "utf-8")
    assert load_recipe(tmp_path / "r.yaml") == recipe
    assert recipe.card.language == ("en", "ko")


def test_one_may_stand_for_a_list():
    card = load_recipe("quickstart", ["card.language=ko", "card.datasets=a/b", "card.license=mit"]).card
    assert (card.language, card.datasets, card.license) == (("ko",), ("a/b",), "mit")


def test_other_licences_have_a_name():
    card = {"license": "other", "license_name": "House licence", "license_link": "https://example.org/licence"}
    assert load_recipe("quickstart", {"card": card}).card.license_name == "House licence"


@pytest.mark.parametrize(
    ("card", "word"),
    [
        ({"license": "apache2"}, "apache-2.0"),
        ({"license": "Apache-2.0"}, "apache-2.0"),
        ({"license": "other"}, "license_name"),
        ({"license": "mit", "license_name": "x"}, "license: other"),
        ({"license": "other", "license_name": "x", "license_link": "http://example.org"}, "https"),
        ({"license": "other", "license_name": "x", "license_link": "https://a b"}, "https"),
        ({"language": "english"}, "en"),
        ({"language": ["en", "kr"]}, "'ko'"),
        ({"datasets": ["corpus"]}, "owner/name"),
        ({"datasets": ["/home/ann/corpus"]}, "owner/name"),
        ({"tags": ["a b"]}, "no tag"),
        ({"intended_use": ""}, "not empty"),
        ({"limits": "x" * 5000}, "at most 4000 characters"),
        ({"licence": "mit"}, "license"),
        ({"language": True}, "language"),
    ],
)
def test_mistakes(card, word):
    with pytest.raises(RecipeError) as caught:
        load_recipe("quickstart", {"card": card})
    assert "card" in str(caught.value)
    assert word in str(caught.value)
