import string

import pytest

from callboard.core.vault import SealBroken, Vault, new_master_key


@pytest.fixture
def vault() -> Vault:
    return Vault(new_master_key())


@pytest.mark.parametrize("text", ["", "token", "žluťoučký kůň 🐎", "x" * 100_000])
def test_what_is_sealed_opens_to_the_same_text(vault: Vault, text: str):
    assert vault.open(vault.seal(text)) == text


def test_sealing_hides_the_text_and_differs_each_time(vault: Vault):
    first, second = vault.seal("hunter2"), vault.seal("hunter2")

    assert first != second
    assert "hunter2" not in first
    assert first.startswith("v1.") and first.isascii()


def test_every_changed_character_breaks_the_seal(vault: Vault):
    sealed = vault.seal("hunter2")
    for position, character in enumerate(sealed):
        other = "A" if character != "A" else "B"
        with pytest.raises(SealBroken):
            vault.open(sealed[:position] + other + sealed[position + 1 :])


@pytest.mark.parametrize(
    "sealed", ["", "v1", "v1.", "v1.AAAA", "v1.*", "v2.AAAA", "hunter2", "v1.é"]
)
def test_what_was_never_sealed_does_not_open(vault: Vault, sealed: str):
    with pytest.raises(SealBroken):
        vault.open(sealed)


def test_a_sealed_text_opens_only_where_it_belongs(vault: Vault):
    sealed = vault.seal("hunter2", context="actor-1/TOKEN")

    assert vault.open(sealed, context="actor-1/TOKEN") == "hunter2"
    with pytest.raises(SealBroken):
        vault.open(sealed, context="actor-2/TOKEN")


def test_another_master_key_opens_nothing(vault: Vault):
    with pytest.raises(SealBroken):
        Vault(new_master_key()).open(vault.seal("hunter2"))


def test_a_vault_made_again_from_its_key_opens_and_signs_the_same():
    key = new_master_key()
    first, second = Vault(key), Vault(key)

    assert second.open(first.seal("hunter2")) == "hunter2"
    assert second.sign("run", "abc") == first.sign("run", "abc")
    assert second.derive("cookies") == first.derive("cookies")


def test_each_purpose_has_its_own_key_and_signature(vault: Vault):
    assert vault.derive("a") != vault.derive("b")
    assert len(vault.derive("a")) == 32
    assert vault.sign("run", "abc") != vault.sign("record", "abc")
    assert vault.sign("run", "abc") != vault.sign("run", "abd")


def test_signatures_are_43_letters_and_digits(vault: Vault):
    for number in range(50):
        signature = vault.sign("run", str(number))
        assert len(signature) == 43
        assert set(signature) <= set(string.ascii_letters + string.digits)


def test_only_the_exact_signature_verifies(vault: Vault):
    signature = vault.sign("run", "abc")

    assert vault.verify("run", "abc", signature)
    for wrong in ("", signature[:-1], signature + "0", signature.swapcase(), "é" * 43):
        assert not vault.verify("run", "abc", wrong)


def test_a_short_master_key_is_refused():
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Vault(b"short")
