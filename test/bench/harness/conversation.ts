/** Invented, and of the size and the letters that real ones have. */
const QUESTIONS = [
  'Why does the sign change on the other side?',
  'Another one with fractions – I mix them up.',
  'So if Δx shrinks, the secant becomes the tangent?',
  'How do mitosis and meiosis differ?',
];
const ANSWERS = [
  'Nothing “moves”: you subtract 4 on both sides, so 3x + 4 = 10 becomes 3x = 6. Now try 5x − 2 = 13.',
  'Take ½ + ⅓: both are made of sixths, 3⁄6 and 2⁄6, so together 5⁄6. The denominator stays as it is.',
  'Exactly! As Δx → 0 the limit of Δy/Δx is f′(x). For f(x) = x² it is 2x; can you show it yourself?',
  'Mitosis makes two cells with the same chromosomes, for growth; meiosis four with half of them.',
];

export interface Turn {
  role: 'user' | 'assistant';
  content: string;
}

/** Turns of a learner and the AI in alternation: 50 of them are a view of about 13 KB. */
export function conversation(length: number): Turn[] {
  return Array.from({ length }, (_, index) => {
    const texts = index % 2 === 0 ? QUESTIONS : ANSWERS;
    return { role: index % 2 === 0 ? 'user' : 'assistant', content: texts[(index >> 1) % texts.length]! };
  });
}
