"""Short forms by which Italians are called, and the names they stand for."""

_SHORT = """
alessandro: ale sandro alex lele
alessandra: ale sandra alex
alberto: berto albi
andrea: andre andy
angela: angi angelina angiolina
angelo: lino angiolo
antonella: anto nella antonellina
antonia: tonia antonietta nietta
antonio: tonino toni tony nino totò antò
barbara: barby
carlo: carletto charlie
carmela: melina carmen carmelina mela
carmelo: melo
carmine: carminuccio minuccio
caterina: rina cate katia katy
chiara: chiaretta
claudio: clau
concetta: titti cettina tina concettina
cristian: cri chris
cristina: cri cris tina
daniela: dani dany
daniele: dani dany lele
davide: dado
domenica: mimma nica
domenico: mimmo mimì nico menico memmo
edoardo: edo dodo
eleonora: ele nora
elisabetta: betta elisa betty lisa
emanuela: manu manuela
emanuele: lele manu manuele
enrico: chicco rico
federica: fede chicca
federico: fede chicco
ferdinando: nando
filippo: pippo fil
francesca: franca checca france chicca fra
francesco: franco ciccio checco cesco france fra
gabriele: lele gabri gabry
gabriella: lella gabri gabry
gaetano: tano nuccio
gennaro: genny rino
giacomo: giacomino mino jack
giancarlo: gianca
gianluca: gianlu luca
giorgio: giorgino giò
giovanna: gianna vanna giò
giovanni: gianni nanni gio giò vanni giannino
giulia: giuly giu
giuseppa: pina peppa pinuccia giuseppina
giuseppe: beppe pino peppe geppi pinuccio peppino bepi
giuseppina: pina giusy pinuccia giusi
ignazio: gnazio
isabella: isa
jacopo: jack
leonardo: leo nardo
lorenzo: renzo lori lollo
luca: luchino
lucia: lucy lucietta
ludovica: ludo
luigi: gigi gino luigino
luigia: gina luisa
maddalena: lena
marcello: celo
margherita: rita marghe ghita
maria: mari mary mariuccia mariella
mario: mariolino
massimiliano: max massi massimo
massimo: max massi
matteo: teo matte
maurizio: mauri mau
michela: michi micky
michele: miky michi lino
nicola: nico nicolino
paola: paoletta
paolo: paolino
pasquale: lino pasqualino pasqui
pierluigi: piero pier
pietro: piero pierino
raffaele: lele raffa raf
raffaella: raffa lella
riccardo: ricky ricca richi
roberta: roby robi
roberto: robi roby berto
rosaria: sara rosy rosetta
rosario: saro
salvatore: totò turi salvo toto sasà turiddu
sebastiano: seba nello iano
serena: sere
silvia: silvietta
simona: simo
simone: simo
stefania: ste stefy stefi
stefano: ste stefy stefi
teresa: tere resi
tommaso: tommy tom maso
umberto: berto
valentina: vale tina valy
valentino: vale
valeria: vale
vincenza: enza cenzina
vincenzo: enzo vince cenzo
vittoria: vicky
vittorio: vitto
"""

_OTHERS = """
ada adele agata agnese alba alessia alessio alice amelia anita anna annamaria arianna arturo assunta aurora aurelio
beatrice benedetta benedetto bianca bruna bruno camilla carla carolina cecilia celeste cesare cinzia clara claudia
corrado cosimo dario debora diana diego donatella donato edda elena eliana elio elisa elsa emilia emilio emma enza enzo
erica ernesto ettore eugenia eugenio eva fabiana fabio fabiola fabrizio fausto felice fiorella flavia flavio franca
franco fulvio gaia gemma gerardo giacinto gianfranco gianmarco gianpaolo gianpiero gilda gina ginevra gino gioia
giorgia giuliana giuliano giulio giusto gloria grazia grazia graziella greta guido ida igor ilaria ines irene iris
irma italo ivan ivana ivano ivo katia lara laura lea leandro letizia lia lidia liliana lina linda lino livia livio
loredana lorena luana luciana luciano lucio lucrezia luisa maddalena mafalda manuel manuela mara marcella marcello
marco mariangela mariano marika marina marino marisa marta martina martino matilde mattia maura mauro melissa mia
michele milena mirco mirella mirko miriam monica morena moreno nadia natale nicoletta nicolò nina nino noemi nora
olga olivia orazio oreste orietta ornella oscar ottavio pamela patrizia patrizio pia piera pierangela piero pietro
pina primo rachele ramona rebecca regina remo renata renato renzo rina rinaldo rita rocco rodolfo romano romeo romina
rosa rosalba rosalia rosanna rosella rossana rossella ruggero sabina sabrina samanta samuele sandra sandro sara saverio
sergio silvana silvano silvio sofia sonia susanna tamara tania tatiana tiziana tiziano tullio ugo ursula valter vanda
vanessa vania vasco vera veronica vincenzina virginia virgilio vita vito viviana walter wanda zeno zita zoe
"""

STANDS_FOR: dict[str, frozenset[str]] = {}
"""For each short form the full names it may stand for; a full name stands for itself."""

KNOWN: frozenset[str] = frozenset(line.partition(":")[0] for line in _SHORT.strip().splitlines()) | frozenset(
    _OTHERS.replace("ò", "o").split()
)
"""Names that people have: none of them is a slip of another."""

for _line in _SHORT.strip().splitlines():
    _full, _, _forms = _line.partition(":")
    for _form in _forms.replace("ò", "o").replace("ì", "i").replace("à", "a").split():
        STANDS_FOR[_form] = STANDS_FOR.get(_form, frozenset()) | {_full}


def may_be_one(one: str, other: str) -> bool:
    """Tell whether two given names, folded, may be said of one person."""
    names = STANDS_FOR.get(one, frozenset()) | {one}
    return not names.isdisjoint(STANDS_FOR.get(other, frozenset()) | {other})
