"""Parameters of MIME fields are read as in RFC 2045 and RFC 2231, and as found in real mail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymailbox.content.parameters import MAX_PARAMETERS, parse_parameters

FIELDS: list[tuple[bytes, str, dict[str, str]]] = [
    (b"", "", {}),
    (b"Text/Plain", "text/plain", {}),
    (b"text / plain ; x=y", "text/plain", {"x": "y"}),
    (b"text/plain; charset=UTF-8", "text/plain", {"charset": "UTF-8"}),
    (b"text/plain;charset=utf-8;format=flowed;", "text/plain", {"charset": "utf-8", "format": "flowed"}),
    (b'text/plain; Name="a \\"b\\".txt"', "text/plain", {"name": 'a "b".txt'}),
    (b"text/plain; name=my summer.txt; x=y", "text/plain", {"name": "my summer.txt", "x": "y"}),
    (b"text/plain charset=utf-8", "text/plain", {"charset": "utf-8"}),
    (b"text/plain; charset=utf-8 format=flowed", "text/plain", {"charset": "utf-8", "format": "flowed"}),
    (b'multipart/mixed; boundary="a;b=c"', "multipart/mixed", {"boundary": "a;b=c"}),
    (b'multipart/mixed; boundary="abc', "multipart/mixed", {"boundary": "abc"}),
    (b"multipart/mixed; boundary", "multipart/mixed", {}),
    (b"filename=a.txt", "", {"filename": "a.txt"}),
    (b'text/plain; x="a" y="b"', "text/plain", {"x": "a", "y": "b"}),
    (b"text/plain; x = y ; z=", "text/plain", {"x": "y", "z": ""}),
    (b"a; x=1; x=2", "a", {"x": "2"}),
    (b"a; filename=one.txt size=2", "a", {"filename": "one.txt size=2"}),
    (b"a=b/c; x=y", "", {"a": "b/c", "x": "y"}),
    (b"a; filename*=utf-8''Caf%C3%A9.txt", "a", {"filename": "Café.txt"}),
    (b"a; filename*=iso-8859-1'fr'Caf%E9.txt", "a", {"filename": "Café.txt"}),
    (b"a; filename*=Caf%C3%A9.txt", "a", {"filename": "Café.txt"}),
    (b"a; filename*=\"utf-8''Caf%C3%A9.txt\"", "a", {"filename": "Café.txt"}),
    (b"a; filename*0=one; filename*1=two", "a", {"filename": "onetwo"}),
    (b"a; filename*1=two; filename*0=one", "a", {"filename": "onetwo"}),
    (b"a; filename*0*=utf-8''Caf%C3; filename*1*=%A9; filename*2=.txt", "a", {"filename": "Café.txt"}),
    (b"a; filename*0=one; filename*2=two", "a", {"filename": "onetwo"}),
    (b"a; filename=plain; filename*=utf-8''better", "a", {"filename": "better"}),
    (b'a; name="=?utf-8?q?Caf=C3=A9.txt?="', "a", {"name": "Café.txt"}),
    (b"a; name==?utf-8?q?Caf=C3=A9.txt?=", "a", {"name": "Café.txt"}),
    (b'a; name="=?utf-8?q?Caf?=\r\n =?utf-8?q?=C3=A9.txt?="', "a", {"name": "Café.txt"}),
    (b'a; boundary="=?utf-8?q?x?="', "a", {"boundary": "=?utf-8?q?x?="}),
    (b'a; name="Caf\xe9"', "a", {"name": "Café"}),
    (b'a; name="x\x1b[2J"', "a", {"name": "x [2J"}),
]


def test_parameters_read_as_meant() -> None:
    """Quotes, blanks, continuations, encodings and missing marks."""
    for raw, value, parameters in FIELDS:
        assert parse_parameters(raw) == (value, parameters), raw


@pytest.mark.threat(108)
@pytest.mark.parametrize("count", [5_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_floods_of_sections_are_capped(count: int) -> None:
    """A hundred thousand continuations are read up to the cap.

    How long that takes is judged in `test_growth.test_many_parameters`.
    """
    raw = b"a" + b"".join(b"; f*%d*=%%41" % number for number in range(count))
    _, parameters = parse_parameters(raw)
    assert parameters == {"f": "A" * MAX_PARAMETERS}


@given(st.binary(max_size=200))
def test_any_bytes_read(raw: bytes) -> None:
    """Nothing raises, whatever the field contains."""
    parse_parameters(raw)


@given(
    st.lists(
        st.sampled_from([";", "=", '"', "*", "0", "1", "'", "%", "41", "a", " ", "\\", "=?utf-8?q?", "?=", "name"])
    )
)
def test_fields_built_of_their_own_marks_read(parts: list[str]) -> None:
    """Marks of the syntax in any order are read."""
    parse_parameters("".join(parts).encode())


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.text("ab c;=,()<>@éж", max_size=12).map(str.strip), max_size=6
    )
)
def test_parameters_encoded_as_in_rfc_2231_are_read_back(parameters: dict[str, str]) -> None:
    """Reading percent-encoded values gives the values again."""
    raw = b"a/b" + b"".join(
        b"; %s*=utf-8''%s" % (name.encode(), b"".join(b"%%%02X" % byte for byte in value.encode()))
        for name, value in parameters.items()
    )
    assert parse_parameters(raw) == ("a/b", parameters)
