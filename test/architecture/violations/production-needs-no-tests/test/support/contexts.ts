export class TestContexts {}
