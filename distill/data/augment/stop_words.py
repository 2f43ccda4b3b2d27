"""English words that carry grammar rather than meaning: no method replaces them by a similar word."""

from __future__ import annotations

_PRONOUNS = """i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves who whom whose which what this that these those"""
_VERBS = """am is are was were be been being have has had having do does did doing done can could will would shall should may
might must ought"""
_PREPOSITIONS = """about above across after against along among around at before behind below between beyond by down during for
from in into of off on onto out over through to toward towards under until up upon with within without"""
_CONJUNCTIONS = "and but or nor if because as while although though unless since than whether"
_OTHERS = """a an the some any all both each few more most other such no not only own same so too very just now then once again
further here there when where why how"""
_CONTRACTIONS = """i'm i've i'd i'll we're we've we'd we'll you're you've you'd you'll he's he'd he'll she's she'd she'll it's
it'd it'll they're they've they'd they'll that's that'll who's what's there's here's let's ain't aren't can't couldn't didn't
doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't shan't shouldn't wasn't weren't won't wouldn't should've"""
_PIECES = """s t d m o y ll re ve ain aren couldn didn doesn don hadn hasn haven isn ma mightn mustn needn shan shouldn wasn
weren won wouldn n't nt ca wo"""

STOP_WORDS = frozenset(f"{_PRONOUNS} {_VERBS} {_PREPOSITIONS} {_CONJUNCTIONS} {_OTHERS} {_CONTRACTIONS} {_PIECES}".split())
"""In lower case, with the straight apostrophe; also the pieces that a tokenizer leaves of a contraction."""
