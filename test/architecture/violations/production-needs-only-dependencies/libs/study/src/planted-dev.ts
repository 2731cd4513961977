export { default } from 'jest';
