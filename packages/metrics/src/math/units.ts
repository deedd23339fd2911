/** Units that differ in nothing but spelling, by what they are called here. */
const spellings: Record<string, string> = {
  cm: 'centimeter centimetre',
  mm: 'millimeter millimetre',
  km: 'kilometer kilometre',
  meter: 'metre',
  ft: 'foot feet',
  inch: 'inches in',
  mile: '',
  yard: 'yd',
  kg: 'kilogram kilo',
  gram: 'gm',
  mg: 'milligram',
  lb: 'lbs pound',
  oz: 'ounce',
  liter: 'litre',
  ml: 'milliliter millilitre',
  gallon: 'gal',
  second: 'sec',
  minute: 'min',
  hour: 'hr hrs',
  day: '',
  week: '',
  month: '',
  year: 'yr yrs',
  mph: '',
  kmh: 'kmph',
  cent: '',
  dollar: 'usd',
  euro: 'eur',
  degree: 'deg',
  radian: 'rad',
  unit: '',
  hz: 'hertz',
  acre: '',
  hectare: '',
  sq: 'square',
  cu: 'cubic',
  am: '',
  pm: '',
};

const canonical = new Map(
  Object.entries(spellings).flatMap(([name, others]) =>
    [name, ...others.split(' ').filter(Boolean)].map((spelling) => [spelling, name]),
  ),
);

/** What a word says as a unit, or undefined for a word that names none. */
export function unitOf(word: string): string | undefined {
  const lower = word.toLowerCase();
  return canonical.get(lower) ?? canonical.get(lower.replace(/s$/, ''));
}

/** Units with their powers: `square cm` and `cm^2` are one. */
function unitsOf(phrase: string): string {
  const found: string[] = [];
  let power = '';
  for (const word of phrase.split(' ')) {
    const [name = '', raised = ''] = word.split('^');
    const unit = unitOf(name);
    if (unit === 'sq' || unit === 'cu') power = unit === 'sq' ? '2' : '3';
    else if (unit !== undefined) {
      found.push(unit + (raised || power));
      power = '';
    }
  }
  return found.join(' ');
}

/** Whether two phrases after a number may mean the same: false where both name units, and different ones. */
export function unitsAgree(a: string, b: string): boolean {
  const [left, right] = [unitsOf(a), unitsOf(b)];
  return left === '' || right === '' || left === right;
}
