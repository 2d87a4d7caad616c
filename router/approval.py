"""Tell a short approval ("yes", "go on", "好的", "commit it") from an ask of its own. Knows phrases, nothing else."""

import re

_MAX_CHARS = 48
# Everything but spaces and punctuation; combining vowel signs (Hindi, Thai) belong to their word, as `\w` has it not.
_WORD = re.compile(r"[^\s!-&(-/:-@\[-`{-~¡¿‘“”…—–·、。，！？；：（）「」।؟،؛\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]+")

# Each phrase approves work that was proposed, or tells the assistant to carry on with it. Thanks, greetings and
# refusals are not here: after "thanks" there is nothing left to do.
_PHRASES = frozenset(
    """
    yes|y|yep|yeah|yup|ok|okay|k|sure|go|go on|go ahead|go for it|proceed|continue|carry on|keep going|next
    next step|do it|do that|please do|make it so|ship it|commit|commit it|commit this|push|push it|merge it
    run it|apply it|try it|try again|retry|again|once more|sounds good|looks good|lgtm|agreed|approve|approved
    confirm|confirmed|correct|that's right|right|exactly|perfect|absolutely|of course|definitely|let's go
    let's do it|fine|all good|accept|i agree|start|begin|resume|finish it|fix it|fix them|fix that|implement it
    deploy it|option a|option b|the first one|the second one|all of them|both|1|2|3|a|b|c|好|好的|好吧|好呀|好啊
    行|行吧|可以|可以的|没问题|嗯|嗯嗯|对|对的|是|是的|没错|继续|请继续|继续吧|接着|接着来|接着说|下一步|开始
    开始吧|来吧|做吧|干吧|就这样|就这么办|就这么做|同意|确认|确定|提交|提交吧|合并|合并吧|推送|执行|执行吧|运行
    跑一下|再试一次|再来一次|重试|改吧|修吧|修一下|动手吧|按你说的做|照做|听你的|都要|第一个|第二个|走起
    好的继续|ok的|繼續|可以啊|好的谢谢|はい|うん|ええ|お願いします|続けて|続けてください|進めて|進めてください
    どうぞ|了解|了解です|それで|そうしてください|いいよ|いいです|やって|やってください|네|예|응|좋아|좋아요|계속
    계속해|계속해줘|계속해주세요|진행해|진행해주세요|그렇게 해|그래|맞아요|해줘|해주세요|sí|si|vale|dale
    de acuerdo|adelante|continúa|continua|sigue|hazlo|claro|por favor sigue|sim|pode|pode ser|prossiga|faça
    continue por favor|oui|d'accord|vas-y|vas y|continuez|allez-y|allez y|fais-le|fais le|bien sûr|sì|va bene
    procedi|vai avanti|fallo|certo|ja|jawohl|mach weiter|weiter|mach das|einverstanden|gerne|genau|in ordnung
    jep|ga door|ga verder|doe maar|prima|akkoord|да|ага|хорошо|ок|окей|давай|продолжай|продолжайте|дальше|сделай
    делай|согласен|конечно|так|продовжуй|добре|tak|dobrze|kontynuuj|dalej|zrób to|jasne|evet|tamam|olur|devam
    devam et|yap|elbette|نعم|حسنا|حسنًا|تمام|موافق|استمر|تابع|أكمل|بله|باشه|ادامه بده|כן|בסדר|תמשיך|המשך|हाँ|हां
    ठीक है|जारी रखें|आगे बढ़ो|करो|कर दो|হ্যাঁ|ঠিক আছে|চালিয়ে যাও|vâng|có|được|tiếp tục|đồng ý|làm đi|ok làm đi
    ya|iya|lanjut|lanjutkan|baik|setuju|silakan|ใช่|โอเค|ได้|ตกลง|ต่อ|ทำต่อ|ทำเลย|ครับ|ค่ะ|ndio|ndiyo|sawa
    endelea
    """.replace("\n    ", "|")
    .strip("| \n")
    .split("|")
)
# A short English ask built only of these words, at least one of them a verb of consent, approves as well
# ("yes, please commit and push it").
_CONSENT = frozenset(
    """
    yes yep yeah yup ok okay sure go proceed continue commit push merge run apply do ship deploy approved agreed
    lgtm confirm accept resume start finish implement
    """.split()  # noqa: SIM905
)
_FILLER = frozenset(
    """
    please it that this them now then and the all just ahead on for me with to so as you your suggested planned
    proposed changes change plan step steps next sounds looks good great perfect fine thanks thank works well
    first second one both pr branch main fix fixes let's tests again
    """.split()  # noqa: SIM905
)


def is_approval(text: str) -> bool:
    """Whether `text` only approves or continues earlier work; looks at no more than a few words."""
    if not text or len(text) > _MAX_CHARS:
        return False
    words = _WORD.findall(text.lower().replace("’", "'"))
    if not words:
        return text.strip() in {"👍", "👌", "✅", "+1"}
    if " ".join(words) in _PHRASES or all(word in _PHRASES for word in words):
        return True
    return any(word in _CONSENT for word in words) and all(word in _CONSENT or word in _FILLER for word in words)
