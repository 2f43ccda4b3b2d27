"""What is prose and what is not, on hand-written pieces; and that no input breaks the reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distill.data.prose import MAX_WORDS, MIN_WORDS, is_prose, paragraphs, sentences, split_sentences, strip_markup

NUMPY_DOC = """Compute the mean of the values along an axis.

    The result is a new array of the same kind. It is not a view of ``a``, so that
    it can be changed freely (see :doc:`the manual <manual>` for more about copies).

    Parameters
    ----------
    a : array_like
        Values whose mean is wanted by the caller.
    axis : int, optional
        The axis along which the means are computed.

    Examples
    --------
    >>> mean([1, 2, 3])
    2.0

    The following lines are code::

        This is inside of a literal block and is not read.

    This is text after the block of code.
    """

GOOGLE_DOC = """
    Waits until the *other* side of the connection is ready.

    Args:
        timeout (`int`, *optional*): How many seconds to wait before
            the call is given up.
        name (str): The name.

    - A list item may hold a whole sentence of its own.

    ```python
    The code in a fence looks like prose but is not read.
    ```

    | a table | that is full of | words to skip. |
    """


def test_a_numpy_docstring_gives_its_sentences_and_no_code():
    assert list(sentences(NUMPY_DOC)) == [
        "Compute the mean of the values along an axis.",
        "The result is a new array of the same kind.",
        "It is not a view of a, so that it can be changed freely (see the manual for more about copies).",
        "Values whose mean is wanted by the caller.",
        "The axis along which the means are computed.",
        "This is text after the block of code.",
    ]


def test_a_google_docstring_gives_descriptions_without_names_and_types():
    assert list(sentences(GOOGLE_DOC)) == [
        "Waits until the other side of the connection is ready.",
        "How many seconds to wait before the call is given up.",
        "A list item may hold a whole sentence of its own.",
    ]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("``x`` and `y`", "x and y"),
        (":class:`~collections.OrderedDict` is", "collections.OrderedDict is"),
        (":ref:`the guide <guide-label>` tells", "the guide tells"),
        ("`Python <https://python.org>`_ is", "Python is"),
        ("see [the docs](https://example.org/a) now", "see the docs now"),
        ("this is **very** *good* text", "this is very good text"),
        ("snake_case_name stays", "snake_case_name stays"),
        ("as shown by Knuth [1]_ long ago", "as shown by Knuth long ago"),
        ("it\u2019s \u201cfine\u201d", 'it\'s "fine"'),
    ],
)
def test_markup_is_taken_off(marked, plain):
    assert strip_markup(marked) == plain


def test_abbreviations_do_not_end_a_sentence():
    text = "Use a container, e.g. A list or a tuple. See Dr. Smith et al. The end is near!"
    assert list(split_sentences(text)) == ["Use a container, e.g. A list or a tuple.", "See Dr. Smith et al. The end is near!"]


@pytest.mark.parametrize(
    "sentence",
    [
        "The committee meets on the first day of the month.",
        'A "quoted" word is fine in a sentence.',
        "Is this the file that you wanted to open?",
        "Prices rose by 5% in the second half of 2019, as expected.",
    ],
)
def test_prose_is_kept(sentence):
    assert is_prose(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "the sentence does not start with a capital.",
        "The sentence does not end",
        "Too short is.",
        "Call foo(bar) to get the value of it.",
        "The value of self is used by the method.",
        "Set snake_case to the value of the option.",
        "The someValue option is used for this.",
        "See https://example.org for more about the matter.",
        "The file is in os.path and not in the other module.",
        "Unbalanced (parentheses are not prose in the end.",
        'An unbalanced " quote is not prose in the end.',
        "Return array dtype float shape axis order copy.",
        "If the graph has less than two nodes.",
        "x = 3 and y = 4 are the values.",
        "This is 한국어 inside of the English text.",
        "The " + "very " * MAX_WORDS + "long sentence is dropped.",
    ],
)
def test_code_fragments_and_lists_are_not_prose(sentence):
    assert not is_prose(sentence)


@given(st.text())
def test_any_text_gives_only_prose_and_never_breaks(text):
    for sentence in sentences(text):
        assert is_prose(sentence)
        assert sentence[0].isupper()
        assert sentence[-1] in ".!?"
        assert MIN_WORDS <= len(sentence.split()) <= 2 * MAX_WORDS


@given(st.lists(st.sampled_from(["", "    The cat sat on the mat.", "- An item of the list.", "a : int", "```", "x::", "\tTab"])))
def test_paragraphs_neither_invent_nor_reorder_words(lines):
    text = "\n".join(lines)
    words = iter(text.split())
    for word in " ".join(paragraphs(text)).split():
        assert any(word == other for other in words)
