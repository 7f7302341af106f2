"""The words of every decision: where an answer came from, and why. The values are shown to users in headers,
metrics and logs, so they are CamelCase reasons and never change meaning.
"""

from enum import StrEnum


class Source(StrEnum):
    """Value of `x-tollway-source`."""

    EXACT = "exact"
    SEMANTIC = "semantic"
    LIVE = "live"
    STALE = "stale"  # from memory, but not good enough to be a hit: nobody else answered
    DEGRADED = "degraded"


class StaleReason(StrEnum):
    """Why what was served from memory is no hit."""

    EXPIRED = "Expired"
    UNSURE = "Unsure"  # another prompt's answer, which is rather right than wrong, and no more


class CacheOutcome(StrEnum):
    HIT = "hit"
    MISS = "miss"
    BYPASS = "bypass"


class CacheReason(StrEnum):
    """Why the cache did, did not, or was not asked to answer."""

    # hits
    EXACT = "Exact"
    SEMANTIC = "Semantic"
    COALESCED = "Coalesced"  # somebody was asking the very same just then
    # misses: no candidate was good enough
    NO_NEIGHBOUR = "NoNeighbour"
    BELOW_THRESHOLD = "BelowThreshold"
    BELOW_STRICT_THRESHOLD = "BelowStrictThreshold"
    ERROR_BOUND = "ErrorBound"  # above the index's threshold, and not shown to be right often enough
    NUMBERS_DIFFER = "NumbersDiffer"
    NEGATION_DIFFERS = "NegationDiffers"
    KEYWORDS_DIFFER = "KeywordsDiffer"
    RELATIONS_DIFFER = "RelationsDiffer"  # "from Paris to London", "to Paris from London"
    OPPOSITES = "Opposites"  # "approve", "deny"
    SCOPE_DIFFERS = "ScopeDiffers"  # "over £50", "under £50"; "only", "safely" on one side
    CONVERSATION_DIFFERS = (
        "ConversationDiffers"  # the same is asked after other turns, which may change the answer
    )
    NOT_JUDGED = "NotJudged"  # not English prose of moderate length: only an exact hit was possible
    ENTRY_GONE = "EntryGone"
    PROMPT_TOO_LONG = "PromptTooLong"  # for the encoder: only an exact hit was possible
    # misses: something did not work
    CACHE_TIMEOUT = "CacheTimeout"
    CACHE_UNAVAILABLE = "CacheUnavailable"
    CACHE_OUT_OF_MEMORY = "CacheOutOfMemory"
    CACHE_KEY_COLLISION = "CacheKeyCollision"
    CACHE_WRONG_DIMENSION = "CacheWrongDimension"
    EMBEDDER_UNAVAILABLE = "EmbedderUnavailable"
    EMBEDDING_UNPAID = (
        "EmbeddingUnpaid"  # the tenant's budget has no room for it: only an exact hit was possible
    )
    # bypasses: the request is not one to answer from memory
    NO_CACHE = "NoCache"
    OPTED_OUT = "OptedOut"
    HAS_TOOLS = "HasTools"
    NOT_PLAIN_TEXT = "NotPlainText"
    SEVERAL_CHOICES = "SeveralChoices"
    HIGH_TEMPERATURE = "HighTemperature"
    TIME_DEPENDENT = "TimeDependent"  # "today", "weather": the answer is another one soon
    PERSONAL_DATA = "PersonalData"  # of somebody, and the index is shared by all tenants


_HITS = frozenset({CacheReason.EXACT, CacheReason.SEMANTIC, CacheReason.COALESCED})
_BYPASSES = frozenset(
    {
        CacheReason.NO_CACHE,
        CacheReason.OPTED_OUT,
        CacheReason.HAS_TOOLS,
        CacheReason.NOT_PLAIN_TEXT,
        CacheReason.SEVERAL_CHOICES,
        CacheReason.HIGH_TEMPERATURE,
        CacheReason.TIME_DEPENDENT,
        CacheReason.PERSONAL_DATA,
    }
)


def outcome_of(reason: CacheReason) -> CacheOutcome:
    """The kind of a reason: what `ai_cache_lookups_total` is labelled with beside it."""
    if reason in _HITS:
        return CacheOutcome.HIT
    return CacheOutcome.BYPASS if reason in _BYPASSES else CacheOutcome.MISS


class RouteReason(StrEnum):
    """Why this model: what decided last."""

    EXPLICIT = "Explicit"  # the caller named it
    ALIAS = "Alias"  # what the caller named stands for it
    PREFERRED = "Preferred"  # the tenant's budget names it
    SIMPLE = "Simple"
    MIDDLE = "Middle"  # that is too doubtful, and of a model between it and the complex one it is not
    COMPLEX = "Complex"  # the simple model's answer is not likely enough to be good enough
    MANY_WORDS = "ManyWords"
    KEYWORD = "Keyword"
    SESSION = "Session"  # an earlier turn of the chat was complex
    CANARY = "Canary"  # it is tried out on this conversation
    CAPABILITY = "Capability"  # the one before cannot do what is asked
    CONTEXT_WINDOW = "ContextWindow"  # the prompt is too long for the one before
    DEGRADED = "Degraded"  # the budget is used up
