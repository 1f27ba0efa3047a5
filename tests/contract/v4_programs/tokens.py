"""Tokenisers as tutorials use them."""

TEXT = "Using a Transformer network isn't hard, Anna!"


def tokens_ids_and_back(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    tokens = tokenizer.tokenize(TEXT)
    ids = tokenizer.convert_tokens_to_ids(tokens)
    return tokens, ids, tokenizer.decode(ids), tokenizer(TEXT), tokenizer.decode(tokenizer(TEXT)["input_ids"])


def encode_plus_with_everything(models):
    from transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-uncased", do_lower_case=True)
    encoded_dict = tokenizer.encode_plus(
        TEXT,
        add_special_tokens=True,
        max_length=24,
        padding="max_length",
        truncation=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    return {key: value.tolist() for key, value in encoded_dict.items()}


def pad_to_max_length_in_the_older_spelling(models):
    from transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    encoded = tokenizer.encode_plus(TEXT, max_length=40, pad_to_max_length=True, return_token_type_ids=True)
    return dict(encoded)


def batch_encode_plus(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-base-uncased")
    texts = [TEXT, "We", "Peter Lind lives in London and works in Paris"]
    batch = tokenizer.batch_encode_plus(texts, padding="longest", truncation=True, max_length=16, return_tensors="pt")
    pairs = tokenizer.batch_encode_plus([("We", "won"), ("a", "b c")], return_token_type_ids=True)
    return {key: value.tolist() for key, value in batch.items()}, dict(pairs)


def special_tokens_around_ids(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    first = tokenizer.convert_tokens_to_ids(tokenizer.tokenize("The cat eats"))
    second = tokenizer.convert_tokens_to_ids(tokenizer.tokenize("apples"))
    return (
        tokenizer.build_inputs_with_special_tokens(first),
        tokenizer.build_inputs_with_special_tokens(first, second),
        tokenizer.create_token_type_ids_from_sequences(first, second),
        tokenizer.get_special_tokens_mask([2, *first, 3], already_has_special_tokens=True),
        tokenizer.num_special_tokens_to_add(pair=True),
    )


def ids_prepared_by_hand(models):
    from transformers import BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    ids = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(TEXT))
    final_inputs = tokenizer.prepare_for_model(ids, max_length=12, truncation=True)
    return dict(final_inputs)


def special_tokens_by_attribute(models):
    from transformers import AutoTokenizer

    found = {}
    for name in ("bert-base-uncased", "distilroberta-base", "camembert-base", "albert-base"):
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/{name}")
        found[name] = {
            "tokens": [tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token, tokenizer.mask_token],
            "ids": [tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id],
            "all": sorted(tokenizer.all_special_tokens),
            "sizes": [tokenizer.vocab_size, len(tokenizer), tokenizer.model_max_length],
            "word": tokenizer.get_vocab().get(tokenizer.mask_token),
            "side": tokenizer.padding_side,
            "fast": tokenizer.is_fast,
        }
    return found


def every_tokenizer_on_one_text(models):
    from transformers import AutoTokenizer

    found = {}
    for name in ("bert-base-uncased", "distilroberta-base", "camembert-base", "albert-base", "xlm-roberta-ner"):
        tokenizer = AutoTokenizer.from_pretrained(f"{models}/{name}")
        ids = tokenizer("Every evening the keeper wrote.", "Warum? 東京").input_ids
        found[name] = (ids, tokenizer.convert_ids_to_tokens(ids), tokenizer.decode(ids, skip_special_tokens=True))
    return found


def rows_padded_later(models):
    import torch
    from torch.utils.data import DataLoader
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    rows = [{**tokenizer(text), "labels": i} for i, text in enumerate(["a cat", "the dog and the cat", "no"])]

    def collate(batch):
        return tokenizer.pad(batch, padding=True, return_tensors="pt")

    batches = [dict(batch) for batch in DataLoader(rows, batch_size=2, collate_fn=collate)]
    return [{k: v.tolist() for k, v in b.items()} for b in batches], batches[0]["labels"].dtype == torch.int64


def from_characters_to_tokens(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    encoding = tokenizer(TEXT)
    start, end = encoding.word_to_chars(3)
    return (
        tokenizer.is_fast,
        encoding.word_ids(),
        TEXT[start:end],
        encoding.char_to_token(TEXT.index("hard")),
        list(encoding.token_to_chars(1)),
        encoding[0].tokens[:3],
    )


def many_texts_with_a_function(models):
    """What ``dataset.map(tokenize_function, batched=True)`` calls."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")

    def tokenize_function(example):
        return tokenizer(example["sentence1"], example["sentence2"], truncation=True)

    batch = tokenize_function({"sentence1": ["We won", "Anna plays"], "sentence2": ["the game", "guitar"]})
    return {key: batch[key] for key in batch}, tokenizer.model_input_names


def decoding_in_a_batch(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilroberta-base")
    ids = tokenizer(["She said good evening.", "Bread, wind & sea"], padding=True)["input_ids"]
    return tokenizer.batch_decode(ids, skip_special_tokens=True), tokenizer.batch_decode(ids)


def saved_tokenizer(models):
    import os
    import tempfile

    from transformers import AutoTokenizer, BertTokenizerFast

    tokenizer = BertTokenizerFast.from_pretrained(f"{models}/bert-base-uncased")
    tokenizer.add_tokens(["Lighthouse"])
    with tempfile.TemporaryDirectory() as directory:
        tokenizer.save_pretrained(directory)
        files = sorted(os.listdir(directory))
        again = AutoTokenizer.from_pretrained(directory)
        return "tokenizer.json" in files, again.tokenize("the Lighthouse eats"), len(again)
