"""Lists of everyday English that prompts are read with: words that carry how a thing is asked, opposites on a few
axes, and words that mean the same when one asks for a service. Written by hand, and widened after looking at errors
on the development half of the data; WordNet's relations (`lexicon`) come on top.
"""

from typing import Final

# How a thing is asked rather than what is asked.
FUNCTION: Final = frozenset(
    (
        "a an the this that these those is are was were be been being am do does did done doing can "
        "could will would shall should may might must ought i me my mine myself we us our ours you your "
        "yours it its itself he him his she her hers they them their theirs what which who whom whose "
        "how when where why to of in on at for with by from as and or so then than there here about "
        "into onto out up off down over if s d m re ve ll t ain please kindly tell give show let want "
        "need wish like know just also some any have has had having get got getting hello hi hiya hey "
        "dear team folks thanks thank cheers um uh er erm hmm well ok okay oh alright right quick silly "
        "sorry question wondering wonder thing things way ways possible possibly possibility able sort "
        "kind exactly actually really basically currently now anyone someone one ones im ive id youre "
        "dont whats hows wheres whens theres lets gonna wanna gotta advance many much go going process "
        "procedure step steps explain describe say says said mean happen happens because while whether "
        "however still ever even too very again info information help assist advice advise curious "
        "trying try let's look looking see find"
    ).split()
)
# Function words whose absence on one side says little, against those that name who is concerned.
PERSONS: Final = {
    "first": frozenset("i me my mine myself we us our ours".split()),
    "second": frozenset("you your yours".split()),
    "other": frozenset("he him his she her hers they them their theirs child son daughter kid friend wife husband "
                       "partner mother father parent".split()),
}  # fmt: skip
NEGATIONS: Final = frozenset(
    (
        "no not never none nobody nothing neither nor without against unable impossible refrain cannot "
        "cant dont doesnt didnt isnt arent wasnt werent wont wouldnt shouldnt couldnt hasnt havent "
        "hadnt mustnt neednt non unless except hardly barely lack lacking"
    ).split()
)
SCOPE: Final = {
    word: group
    for group, words in {
        "all": "all every each everything everyone entire whole always both",
        "only": "only solely exclusively merely sole",
        "except": "except excluding besides apart unless but",
        "first": "first earliest initial",
        "last": "last latest final newest",
        "previous": "previous prior former",
        "next": "next upcoming following",
        "most": "most maximum max highest largest biggest greatest longest best top",
        "least": "least minimum min lowest smallest shortest worst bottom cheapest",
        "more": "more over above exceeding longer higher bigger larger greater after beyond",
        "less": "less fewer under below within shorter lower smaller before until",
    }.items()
    for word in words.split()
}
# Axes on which a word stands on one side or the other; a negation turns it over.
_AXES: Final = {
    "existence": (
        (
            "create add insert build generate keep retain preserve maintain include restore save attach "
            "append introduce establish register subscribe join enroll enrol store install impute hold "
            "stay remain renew refill replace fill complete file persist implement plan supply"
        ),
        (
            "delete remove drop eliminate erase discard purge wipe clear exclude omit strip destroy "
            "prune detach withdraw deregister unregister unsubscribe quit uninstall demolish scrap dump "
            "exclusion removal deletion skip avoid rid ignore neglect disregard forgo abandon "
            "relinquish"
        ),
    ),
    "permission": (
        (
            "approve accept allow grant permit authorize authorise confirm endorse support agree "
            "sanction welcome admit back advocate adopt approval acceptance permission approving "
            "accepting uphold validate recommend encourage enforceable"
        ),
        (
            "deny reject decline refuse block forbid ban prohibit revoke disapprove oppose veto denial "
            "rejection resist reverse refusal disallow restrict overturn discourage dismiss prevent "
            "denying rejecting declining unenforceable"
        ),
    ),
    "operation": (
        (
            "enable activate start launch begin resume open run deploy continue reactivate unlock "
            "unmute commence initiate proceed reopen active activation release schedule book implement "
            "initiation restart unblock unfreeze"
        ),
        (
            "disable deactivate stop halt pause suspend close shut terminate end kill mute cancel lock "
            "freeze cease abort inactive deactivation termination cancellation shutdown rollback revert "
            "undo discontinue closed"
        ),
    ),
    "magnitude": (
        (
            "increase raise boost grow expand extend lengthen enlarge heighten amplify widen upgrade "
            "promote more higher rise accelerate maximize maximise bigger larger longer escalate "
            "prioritize prioritise high speed lift improve strengthen upscale elevate rising"
        ),
        (
            "decrease reduce lower cut shrink shorten lessen diminish narrow downgrade demote less "
            "fewer fall slow minimize minimise smaller shorter deprioritize deprioritise low decline "
            "weaken worsen deescalate falling damage curtail dropping"
        ),
    ),
    "exchange": (
        "buy purchase receive deposit hire gain acquire earn win collect borrow import invest arrive",
        "sell withdraw fire liquidate dispose spend lend export divest depart",
    ),
    "quality": (
        (
            "safe good legal healthy benign success successful pass valid correct fine public positive "
            "profit benefit advantage strong fresh true likely available"
        ),
        (
            "unsafe bad illegal dangerous fail failure invalid fault faulty error broken malignant "
            "infected damaged wrong negative loss drawback disadvantage weak false unlikely unavailable "
            "dormant private"
        ),
    ),
    "sight": (
        "show reveal display expose visible unhide disclose unmask",
        "hide conceal mask obscure hidden invisible redact unpublish suppress disguise",
    ),
    "duty": (
        "required mandatory compulsory necessary obligatory obliged",
        "optional unnecessary voluntary exempt",
    ),
    "when": ("earlier sooner forward hasten expedite advance", "later delay postpone defer"),
    "place": (
        "inside indoor internal domestic ascending",
        "outside outdoor external international abroad descending overseas",
    ),
}
# word -> (axis, side). A word on several axes stands on the first.
POLARITY: Final[dict[str, tuple[str, int]]] = {}
for _axis, _sides in _AXES.items():
    for _side, _words in zip((1, -1), _sides, strict=True):
        for _word in _words.split():
            POLARITY.setdefault(_word, (_axis, _side))

_OPPOSED: Final = (
    "full part|include exclude|pro con|up down|in out|on off|hot cold|high low|max min|maximum minimum|"
    "more less|most least|best worst|good bad|fast slow|early late|earliest latest|first last|old new|"
    "young old|cheap expensive|profit loss|gain lose|win lose|pass fail|success failure|true false|"
    "legal illegal|safe dangerous|public private|internal external|local remote|left right|north south|"
    "east west|inside outside|above below|over under|long short|large small|big small|wide narrow|"
    "heavy light|hard easy|difficult easy|busy quiet|full empty|wet dry|positive negative|major minor|"
    "expand collapse|show hide|visible hidden|save discard|keep delete|keep discard|merge split|encode "
    "decode|encrypt decrypt|compress decompress|extend shorten|promote demote|confirm cancel|book "
    "cancel|renew cancel|submit withdraw|ascending descending|debit credit|male female|man woman|boy "
    "girl|husband wife|mother father|son daughter|landlord tenant|buyer seller|teacher student|doctor "
    "patient|single married|single return|one round|weekday weekend|day night|morning evening|morning "
    "afternoon|afternoon evening|summer winter|spring autumn|domestic international|home abroad|indoor "
    "outdoor|online offline|always never|all none|everyone nobody|with without|present absent|import "
    "export|upload download|upgrade downgrade|lock unlock|install uninstall|pause resume|start stop|"
    "begin end|open close|buy sell|send receive|lend borrow|deposit withdraw|grant revoke|enable "
    "disable|increase decrease|raise lower|add remove|create delete|accept decline|approve reject|"
    "allow block|rise fall|build destroy|break fix|clean dirty|sick healthy|alive dead|born die|"
    "optional mandatory|temporary permanent|manual automatic|charge refund|arrive depart|arrival "
    "departure|enter exit|push pull|join leave|hire fire|agree disagree|like dislike|love hate|"
    "question answer|cause prevent|strengthen weaken|fill empty|load unload|active dormant|active "
    "inactive|read write|fixed variable|fixed floating|gross net|senior junior|adult child|personal "
    "business|wholesale retail|primary secondary|undergraduate postgraduate|undergraduate master|"
    "employed unemployed|rent own|rent buy|benign malignant|arrived lost|healed infected|urgent "
    "routine|valid expired|effective expired|passed failed|boil freeze|black white|war peace|north "
    "east|south west|input output|client server|push pop|ascend descend|horizontal vertical|encode "
    "decode|serialize deserialize|synchronous asynchronous|upstream downstream|left center"
)
OPPOSED: Final = frozenset(
    pair
    for one, other in (pair.split() for pair in _OPPOSED.split("|"))
    for pair in ((one, other), (other, one))
)

# More of them. The judge has learned with the pairs above as one of its signs, so these only refuse.
_FURTHER_OPPOSED: Final = (
    "loud quiet|loud silent|noisy quiet|light dark|bright dark|bright dim|bright dull|warm cold|warm cool|hot "
    "cool|rich poor|strong weak|tall short|thick thin|thin fat|deep shallow|near far|close far|closest "
    "furthest|closest farthest|nearest furthest|nearest farthest|closer farther|closer further|nearer "
    "farther|nearer further|safe risky|safe unsafe|tight loose|sharp blunt|sharp dull|rough smooth|happy "
    "sad|happy unhappy|great lesser|smart dumb|smart stupid|clever stupid|soft hard|kind cruel|brave "
    "cowardly|polite rude|honest dishonest|lazy diligent|calm nervous|calm excited|generous stingy|simple "
    "complex|simple complicated|easy complicated|sweet bitter|sweet sour|sweet salty|fresh stale|fresh "
    "frozen|raw cooked|ripe unripe|moist dry|humid dry|steep flat|steep gentle|straight curly|straight "
    "curved|straight crooked|beautiful ugly|pretty ugly|healthy unhealthy|common rare|frequent rare|scarce "
    "abundant|ancient modern|old modern|former latter|dense sparse|liquid solid|acidic alkaline|acid base|convex "
    "concave|odd even|singular plural|formal informal|formal casual|active passive|relative absolute|static "
    "dynamic|serial parallel|mutable immutable|lossy lossless|wired wireless|digital analog|digital "
    "analogue|natural artificial|natural synthetic|organic synthetic|urban rural|foreign native|foreign "
    "domestic|innocent guilty|winner loser|victory defeat|asset liability|income expense|revenue expense|supply "
    "demand|maximise minimise|maximize minimize|lengthen shorten|widen narrow|tighten loosen|harden "
    "soften|sharpen blunt|brighten darken|lighten darken|thicken thin|heat cool|inflate deflate|attach "
    "detach|connect disconnect|plug unplug|zip unzip|pack unpack|wrap unwrap|fold unfold|tie untie|button "
    "unbutton|screw unscrew|roll unroll|bend straighten|dress undress|follow unfollow|subscribe unsubscribe|pin "
    "unpin|mute unmute|mount unmount|check uncheck|select deselect|undo redo|freeze thaw|freeze melt|accelerate "
    "decelerate|accelerate brake|advance retreat|attack defend|praise criticise|praise criticize|reward "
    "punish|punish forgive|remember forget|learn forget|sleep wake|laugh cry|smile frown|float sink|dive "
    "surface|climb descend|ascend descend|lift lower|throw catch|spend earn|win forfeit|succeed "
    "fail|accept refuse|admit deny|confirm deny|encourage discourage|persuade dissuade|help hinder|help "
    "harm|trust distrust|trust doubt|shrink grow|shrink stretch|multiply divide|add subtract|differentiate "
    "integrate|whiten blacken|stiffen soften|moisten dry|soak dry|purify pollute|hydrate dehydrate|gain "
    "shed|quickly slowly|fast slowly|loudly quietly|often rarely|often seldom|frequently rarely|usually "
    "rarely|always rarely|seldom usually|sometimes never|carefully carelessly|gently roughly|publicly "
    "privately|directly indirectly|partially fully|partly fully|partly completely|temporarily "
    "permanently|automatically manually|locally remotely|upward downward|upwards downwards|forward "
    "backward|forwards backwards|clockwise counterclockwise|clockwise anticlockwise|eastward westward|northern "
    "southern|eastern western|upstairs downstairs|upper lower|top bottom|front rear|head tail|inner "
    "outer|interior exterior|entrance exit|ceiling floor|dawn dusk|sunrise sunset|noon midnight|past "
    "future|ancestor descendant|uncle aunt|nephew niece|brother sister|king queen|prince princess|bride "
    "groom|host guest|employer employee|lender borrower|sender receiver|sender recipient|winner runner|predator "
    "prey|friend enemy|hero villain|optimist pessimist|introvert extrovert|expert beginner|expert novice|amateur "
    "professional|leader follower|speaker listener|attic basement|plus minus|surplus deficit|peak trough|bull "
    "bear|optimistic pessimistic"
)
OPPOSITES_OF: Final[dict[str, tuple[str, ...]]] = {}
for _pair in (*sorted(OPPOSED), *(pair.split() for pair in _FURTHER_OPPOSED.split("|"))):
    for _one, _other in (_pair, _pair[::-1]):
        OPPOSITES_OF[_one] = (*OPPOSITES_OF.get(_one, ()), _other)

_SAME: Final = (
    "delete remove erase eliminate discard drop purge wipe|create make generate build produce compose "
    "write draft craft formulate develop prepare|cancel terminate end stop discontinue|allow permit "
    "authorize authorise enable|enable activate|disable deactivate|approve accept endorse grant|deny "
    "reject decline refuse|increase raise boost grow up|decrease reduce lower cut lessen down|show "
    "display list present view|change modify update edit adjust alter revise amend|fix repair mend "
    "resolve|begin start commence launch initiate|finish complete conclude|buy purchase|get obtain "
    "receive acquire fetch retrieve|send email mail forward submit|tell inform notify advise|price "
    "cost fee charge rate|fee charge cost fare|pay settle|shop store outlet|road street|fast quick "
    "rapid speedy|big large huge|small little tiny|mobile phone cell cellphone telephone|car vehicle "
    "auto automobile|holiday vacation leave|flat apartment|house home|kid child|child kid|job work "
    "employment|boss manager|employer company|client customer|user member|buy order|reserve book "
    "schedule|appointment visit meeting|doctor physician gp|medicine medication drug|test exam|exam "
    "test assessment|mark grade result score|error problem issue fault bug|help support assistance|"
    "guide tutorial instructions|photo picture image|movie film|tv television|internet web online|wifi "
    "wireless|broadband internet|app application|pc computer laptop|laptop notebook|config "
    "configuration settings setup|setup configure install|folder directory|repo repository|db database|"
    "document file doc|spreadsheet excel|delete trash|function method|bug defect|code program script|"
    "run execute|learn study|teach instruct|big major|important key critical essential main primary "
    "principal crucial significant|summary recap overview synopsis|summarize summarise recap outline|"
    "explain describe clarify detail elaborate|find locate identify determine|use utilize employ|check "
    "verify confirm review examine|current present latest|old outdated legacy obsolete|new latest "
    "recent|annual yearly|monthly month|weekly week|daily day|money funds cash|salary wage pay|account "
    "profile|password passcode|balance amount|transfer move send wire|deposit pay|card credit debit|"
    "bill invoice|invoice bill|subscription membership plan|refund reimbursement|deliver ship delivery "
    "shipping|parcel package|luggage baggage bag|flight plane|train rail|ticket fare|trip journey "
    "travel|hotel accommodation|restaurant diner|meal food|lunch dinner|rubbish trash garbage waste|"
    "autumn fall|petrol gas fuel|lift elevator|queue line|film movie|begin open|close shut|lost "
    "missing|broken damaged|hurt pain ache|sick ill unwell|happy glad|sad unhappy|weight mass|speed "
    "velocity|distance range|size dimensions|method way approach technique|reason cause|difference "
    "contrast distinction differ|advantage benefit pro|disadvantage drawback con|goal target aim "
    "objective|choose select pick|need require|want wish|try attempt|keep retain preserve maintain "
    "hold|suggest recommend propose|ask request|answer reply respond response|talk speak chat|begin "
    "initiate|allowed permitted|capital city|author writer write|country nation|limit cap maximum|"
    "deadline due cutoff|expire expiry expiration|renew extend|nearby near nearest closest|often "
    "frequently frequency|currently now|identical same equal|various different several|yearly annual|"
    "signup register enroll enrol join|login signin|logout signout|uk britain|us usa america|eu europe|"
    "adjust tweak|boost enhance improve|quote estimate quotation|contact reach call|phone call ring|"
    "locate place located location|close nearest|launch deploy release|version release|team group|"
    "colleague coworker|alert alarm notification|reminder remind|record log entry|row entry record|"
    "null missing empty|dataset data|plot chart graph|average mean|sum total|count number"
)
# word -> the groups it is in. Two words of one group may stand for each other when one asks for a thing.
SAME: Final[dict[str, frozenset[int]]] = {}
for _number, _group in enumerate(_SAME.split("|")):
    for _word in _group.split():
        SAME[_word] = SAME.get(_word, frozenset()) | {_number}

IRREGULAR: Final = dict(
    pair.split("/")
    for pair in (
        "went/go gone/go took/take taken/take gave/give given/give made/make sent/send paid/pay "
        "bought/buy sold/sell told/tell kept/keep left/leave lost/lose found/find won/win wrote/write "
        "written/write spoke/speak spoken/speak broke/break broken/break chose/choose chosen/choose "
        "drove/drive driven/drive ate/eat eaten/eat fell/fall fallen/fall flew/fly flown/fly "
        "forgot/forget forgotten/forget froze/freeze frozen/freeze grew/grow grown/grow knew/know "
        "known/know rose/rise risen/rise ran/run saw/see seen/see shook/shake stole/steal stolen/steal "
        "swam/swim thought/think threw/throw thrown/throw wore/wear worn/wear woke/wake built/build "
        "held/hold led/lead lent/lend meant/mean met/meet slept/sleep spent/spend stood/stand "
        "taught/teach understood/understand children/child kids/child kid/child men/man women/woman "
        "people/person feet/foot teeth/tooth mice/mouse better/good best/good worse/bad worst/bad "
        "withdrew/withdraw withdrawn/withdraw began/begin begun/begin came/come became/become "
        "brought/bring caught/catch fed/feed felt/feel heard/hear hid/hide hidden/hide laid/lay "
        "lit/light shot/shoot shut/shut sang/sing sung/sing sank/sink sat/sit uk/uk us/us"
    ).split()
)
