import { newProgram, withThoseBelow } from './program';

const nameOf = (command: ReturnType<typeof newProgram>): string =>
  command.parent?.parent ? `${nameOf(command.parent)} ${command.name()}` : command.name();

function helpOf(command: ReturnType<typeof newProgram>): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  return help;
}

describe('studently', () => {
  const commands = withThoseBelow(newProgram()).filter((command) => command.commands.length === 0);

  it('has commands', () => expect(commands.length).toBeGreaterThan(30));

  it.each(commands.map((command) => [nameOf(command), command] as const))('%s has help with an example', (name, command) => {
    const example = /Example:\n.*npx studently (.*)/.exec(helpOf(command))?.[1];
    expect([name, example?.includes(name)]).toEqual([name, true]);
  });
});
