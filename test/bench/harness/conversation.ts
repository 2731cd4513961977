/** Invented, and of the size and the letters that real ones have. */
const QUESTIONS = [
  'Why does the sign change when I move a term to the other side?',
  'Another example please, with fractions – I still mix them up.',
  'So if Δx shrinks, the secant becomes the tangent?',
  'What is the difference between mitosis and meiosis?',
];
const ANSWERS = [
  'Nothing really “moves”: you subtract the same term on both sides, so 3x + 4 = 10 becomes 3x = 6. Try it with 5x − 2 = 13 and tell me what you get.',
  'Take ½ + ⅓: both are made of sixths, 3⁄6 and 2⁄6, so together they are 5⁄6. The denominator says how large the pieces are, so it stays.',
  'Exactly! As Δx → 0 the limit of Δy/Δx is the derivative f′(x). For f(x) = x² it is 2x, because ((x + Δx)² − x²)/Δx = 2x + Δx.',
  'Mitosis makes two cells with the same chromosomes; meiosis makes four with half of them. One is for growth, the other for reproduction.',
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
