import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** The entity owns its rules: whoever loads one calls its methods. */
export const noAssignmentToEntities = [
  {
    selector: 'AssignmentExpression[left.type="MemberExpression"]:not([left.object.type="ThisExpression"])',
    message: 'Nobody outside assigns the fields of an entity: call one of its methods.',
  },
  {
    selector: 'UpdateExpression[argument.type="MemberExpression"]:not([argument.object.type="ThisExpression"])',
    message: 'Nobody outside changes the fields of an entity: call one of its methods.',
  },
  {
    selector: 'UnaryExpression[operator="delete"]',
    message: 'Nobody outside removes the fields of an entity: call one of its methods.',
  },
  {
    selector: 'CallExpression[callee.type="MemberExpression"][callee.property.name="assign"]',
    message: 'Nobody outside assigns the fields of an entity (Object.assign, em.assign): call one of its methods.',
  },
];

/** Time is passed in, so that a rule can be tested at any moment. */
export const noClock = [
  {
    selector: 'NewExpression[callee.name="Date"][arguments.length=0]',
    message: 'A domain has no clock: take the time as a parameter.',
  },
  {
    selector: 'CallExpression[callee.object.name="Date"][callee.property.name="now"]',
    message: 'A domain has no clock: take the time as a parameter.',
  },
];

export default defineConfig(
  globalIgnores(['dist/', 'docs/', 'test/architecture/violations/', '.studently/']),
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      // `import type` of what is injected would erase the class that Nest's container looks for, so nothing is
      // turned into one by a rule; where it stands it must be consistent.
      '@typescript-eslint/no-import-type-side-effects': 'error',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', ignoreRestSiblings: true },
      ],
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      // A method may be async for its contract (a handler, an adapter) without an await of its own.
      '@typescript-eslint/require-await': 'off',
      eqeqeq: 'error',
      'no-empty': ['error', { allowEmptyCatch: false }],
    },
  },
  {
    files: ['libs/**/*.ts', 'apps/api/**/*.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    files: ['libs/*/src/{commands,queries}/**/*.ts'],
    ignores: ['**/*spec.ts'],
    rules: { 'no-restricted-syntax': ['error', ...noAssignmentToEntities] },
  },
  {
    files: ['libs/*/src/domain/**/*.ts'],
    ignores: ['**/*spec.ts'],
    rules: { 'no-restricted-syntax': ['error', ...noClock] },
  },
  {
    // Answers of servers are read as they come; what they are is what the test finds out.
    files: ['test/**/*.ts', '**/*spec.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-require-imports': 'off',
    },
  },
  {
    files: ['**/*.{js,cjs,mjs}'],
    languageOptions: {
      globals: Object.fromEntries(
        ['console', 'process', 'require', 'module', '__dirname', 'Buffer', 'URL', 'fetch', 'setTimeout', 'performance'].map(
          (name) => [name, 'readonly'],
        ),
      ),
    },
  },
);
