"""Made-up questions of 8 to 40 words in two wordings each, for what a candidate costs. Nothing is learned from them."""

from typing import Final

# Two wordings of each question, one after the other.
_QUESTIONS: Final = """
How do I transfer the warranty of a used dishwasher to its new owner?
Can the warranty on a second-hand dishwasher be moved over to whoever bought it?
What should I check before signing the lease of a furnished apartment in an old building?
Which things ought to be looked at before I sign a lease for a furnished flat in an older house?
Why does my sourdough bread keep collapsing after it has risen in the refrigerator overnight?
What makes a loaf of sourdough collapse once it has been rising in the fridge all night?
How can a small bakery calculate the price of wedding cakes without losing money?
What is a good way for a small bakery to set prices for wedding cakes and still earn something?
Which vaccinations does a traveller to rural Tanzania need at least 6 weeks before departure?
What vaccines should somebody have who is travelling to rural Tanzania, six weeks or more before leaving?
How do I restore the photographs that I deleted from my phone 3 days ago?
Is there a way to get back pictures deleted from a phone three days ago?
What is the difference between a fixed and a variable mortgage for a first home?
Explain how fixed-rate and variable-rate mortgages differ when buying a first house.
How do I stop my neighbour's cat from digging up the seedlings in my vegetable garden?
What keeps the cat next door from digging in the vegetable beds where I have seedlings?
Where can I find out how much the electricity of my office cost in March?
How do I look up what our office paid for electricity in March?
Can I connect two bluetooth speakers to one laptop at the same time under Linux?
Is it possible under Linux to play from a laptop to 2 bluetooth speakers at once?
How is the deposit returned when a rental car comes back with a scratched bumper?
What happens with the deposit of a hired car that I return with a scratch on its bumper?
What are the early symptoms of diabetes in adults who have no family history?
Which signs of diabetes come first in grown-ups without relatives who have had it?
How do I explain fractions to a seven year old who hates mathematics?
What is a good way to teach fractions to a child of 7 who does not like maths?
Why was my application for a building permit rejected although all documents were attached?
For what reason might a building permit be refused even though every document had been attached?
How long may cooked rice be kept in the refrigerator before it becomes dangerous?
For how many days is boiled rice safe to eat when it is stored in the fridge?
What does a freelance translator have to write on an invoice to a company in Denmark?
Which details belong on the invoice that a freelance translator sends to a Danish company?
How do I change the email address that my insurance sends its letters to?
I want the insurance to write to another email address; how is it changed?
Which trees grow fast enough to hide an ugly wall within 5 years?
What trees would cover an ugly wall in five years or less?
How do I cancel a hotel booking in Lisbon that was paid with vouchers?
What are the steps for cancelling a reservation at a hotel in Lisbon paid for by voucher?
What should the first paragraph of a cover letter for a nursing position say?
How would you begin the cover letter of an application for a job as a nurse?
How can I tell whether an old violin from my grandfather is worth restoring?
Is there a way to find out if restoring my grandfather's old violin is worth the money?
Why does the washing machine stop in the middle of its cycle and blink twice?
What is wrong with a washing machine that halts halfway through a cycle with two blinks?
How do I merge two spreadsheets that have the same columns in a different order?
What is the easiest way of combining two spreadsheets whose columns are the same but ordered differently?
Which documents does a student from Chile need for a residence permit in Germany?
What papers must a Chilean student hand in to obtain a German residence permit?
How do I remove red wine from a white wool carpet without bleaching it?
What gets red wine out of a carpet of white wool, without bleach?
What is a fair salary for a junior data analyst with 2 years of experience?
How much should a junior analyst of data with two years' experience be paid?
How often should the brake fluid of a motorcycle be replaced in a humid climate?
In a humid climate, how frequently does a motorcycle need new brake fluid?
Can my employer refuse my holiday request because a colleague is ill?
Is an employer allowed to turn down leave since one of my colleagues is sick?
How do I write a polite reminder to a customer who has not paid for 30 days?
What is a friendly way to remind a client that a bill has been unpaid for thirty days?
Which exercises help against back pain after eight hours at a desk?
What can I do in the gym for a back that hurts after sitting at a desk for 8 hours?
How do I set up automatic backups of a small business server to another city?
What is the way to back up a small company's server automatically in a different city?
What did the Romans use for building bridges that still stand today?
With which materials were the Roman bridges built that are standing to this day?
How do I find a reliable plumber in a town where I know nobody?
Where would I look for a trustworthy plumber in a place where I have no friends?
Why do the leaves of my lemon tree turn yellow although I water it every week?
My lemon tree gets yellow leaves even though it is watered weekly; what is the reason?
How can two siblings divide an inherited house when one wants to keep living there?
What are the options for splitting a house between a brother and a sister of whom one lives in it?
What is the best time of the year to see whales off the coast of Iceland?
In which months are whales most often seen near Iceland?
How do I convert a handwritten recipe book into searchable text on a tablet?
Which steps turn a cookbook written by hand into text that can be searched on a tablet?
Which questions should I ask a surgeon before an operation on my knee?
What would you ask the doctor who is going to operate on your knee?
How do I lower the heating bill of a house with single glazed windows?
What brings down the cost of heating in a home whose windows have one pane?
Can a contract be cancelled by email within 14 days of signing it at the door?
Is an email enough for withdrawing from a contract signed at the front door, inside fourteen days?
How do I train a rescued greyhound to walk on a loose leash near other dogs?
What is the best training for a rescue greyhound that pulls at its leash when dogs are around?
Why is the battery of my electric bicycle empty after only twenty kilometres?
What drains the battery of an e-bike in just 20 km?
How do I choose between a tent for two and a hammock for a week in the mountains?
Should I take a hammock or a two-person tent for seven days of mountain hiking?
What has to be considered when a choir wants to publish recordings of modern songs?
Which rights must a choir clear before it publishes recordings of contemporary songs?
How do I report a broken street lamp to the city council of Manchester?
Whom in Manchester's council do I tell that a street light is broken?
Which wood should be used for a kitchen worktop that gets wet all the time?
What kind of timber suits a worktop in a kitchen where it is always wet?
How do I keep track of the hours that volunteers spend on a museum project?
What is a simple method to record how many hours volunteers give to a project of the museum?
What is the safest way to carry a large fish tank up a narrow staircase?
How would one move a big aquarium upstairs through a narrow stairwell without risk?
How do I switch off notifications of a group chat without leaving the group?
Can the notifications from one group chat be turned off while I stay a member?
Why does the moon look larger when it stands close to the horizon?
What makes the moon seem bigger near the horizon than high in the sky?
""".strip().splitlines()

# Put before and behind the two wordings.
_AROUND: Final = (
    ("", "", "", ""),
    ("Hello, a short question. ", "", "", " Thank you in advance!"),
    ("", " Please answer in a few sentences that a beginner understands.", "Could you help me? ", ""),
    (
        "My sister asked me this and nobody at home could say. ",
        "",
        "",
        " I have searched the web for an hour already.",
    ),
)


def pairs() -> list[tuple[str, str]]:
    """200 pairs, each question's four ones far from each other."""
    return [
        (f"{before}{one}{behind}", f"{others_before}{other}{others_behind}")
        for before, behind, others_before, others_behind in _AROUND
        for one, other in zip(_QUESTIONS[::2], _QUESTIONS[1::2], strict=True)
    ]
