/** Repositories that are hard to get right, each with what is asked of it. The `go` command says what is right. */

import type { MadeCommit } from './repository-maker.ts';

export type Awkward = {
  /** The repository is `corp.example/<name>.git`. */
  readonly name: string;
  readonly why: string;
  readonly commits: readonly MadeCommit[];
  readonly format?: string;
  /** The branch that HEAD names. */
  readonly head?: string;
  /** What stands behind the repository's path, and what is asked of that module; `#N` is the hash of main's N-th commit. */
  readonly asks: Readonly<Record<string, readonly string[]>>;
};

const mod = (path: string, more = '') => `module corp.example/${path}\n${more}`;
const main = 'package p\n';

export const AWKWARD: readonly Awkward[] = [
  {
    name: 'plain',
    why: 'lightweight and annotated tags, a branch, commits after a tag',
    commits: [
      { files: { 'go.mod': mod('plain.git'), 'p.go': main }, tags: ['v0.1.0'] },
      { files: { 'p.go': `${main}// 2\n` }, annotated: ['v1.0.0'] },
      { files: { 'p.go': `${main}// 3\n` } },
      { branch: 'dev', from: 'main', files: { 'p.go': `${main}// 4\n` } },
    ],
    asks: {
      '': [
        'v0.1.0',
        'v1.0.0',
        'main',
        'dev',
        'latest',
        'v9.9.9',
        'nobranch',
        '#1',
        '#2',
        '#3',
        '#3:12',
        '#1:7',
        'HEAD',
        'v1.0.1',
      ],
    },
  },
  {
    name: 'untagged',
    why: 'no tag at all',
    commits: [
      { files: { 'go.mod': mod('untagged.git'), 'p.go': main } },
      { files: { 'a/a.go': 'package a\n' } },
    ],
    asks: { '': ['latest', 'main', '#1', '#2:8', 'v0.0.0'] },
  },
  {
    name: 'nomod',
    why: 'no go.mod: made up, and +incompatible',
    commits: [
      { files: { 'p.go': main }, tags: ['v1.0.0'] },
      { files: { 'p.go': `${main}//2` }, tags: ['v2.0.0', 'v2.1.0-rc.1'] },
      { files: { 'p.go': `${main}//3` }, tags: ['v3.0.0'] },
      { files: { 'p.go': `${main}//4` } },
    ],
    asks: {
      '': [
        'v1.0.0',
        'v2.0.0',
        'v2.0.0+incompatible',
        'v1.0.0+incompatible',
        'v3.0.0',
        'main',
        'latest',
        'v2.1.0-rc.1',
      ],
      '/v2': ['v2.0.0'],
    },
  },
  {
    name: 'latemod',
    why: 'a go.mod comes with v3: +incompatible ends',
    commits: [
      { files: { 'p.go': main }, tags: ['v1.0.0', 'v2.0.0'] },
      { files: { 'go.mod': mod('latemod.git/v3') }, tags: ['v3.0.0'] },
      { files: { 'go.mod': mod('latemod.git/v3', '// x\n') } },
    ],
    asks: {
      '': ['v1.0.0', 'v2.0.0+incompatible', 'v3.0.0', 'v3.0.0+incompatible', 'main'],
      '/v3': ['v3.0.0', 'main', 'latest'],
    },
  },
  {
    name: 'rootmajor',
    why: '/v2 in the root',
    commits: [
      { files: { 'go.mod': mod('rootmajor.git'), 'p.go': main }, tags: ['v1.0.0'] },
      { files: { 'go.mod': mod('rootmajor.git/v2') }, tags: ['v2.0.0', 'v1.9.0'] },
      { files: { 'p.go': `${main}//3` } },
    ],
    asks: {
      '': ['v1.0.0', 'v1.9.0', 'v2.0.0', 'main', 'latest'],
      '/v2': ['v2.0.0', 'v1.0.0', 'main', 'latest', 'v2.0.1'],
      '/v3': ['latest', 'main'],
    },
  },
  {
    name: 'submajor',
    why: '/v2 in a directory, and in both',
    commits: [
      { files: { 'go.mod': mod('submajor.git'), 'p.go': main, LICENSE: 'root\n' }, tags: ['v1.0.0'] },
      { files: { 'v2/go.mod': mod('submajor.git/v2'), 'v2/p.go': main }, tags: ['v2.0.0', 'v1.1.0'] },
      { files: { 'go.mod': mod('submajor.git/v2') }, tags: ['v2.1.0'] },
      { files: { 'go.mod': mod('submajor.git'), 'v2/go.mod': mod('submajor.git/v3') }, tags: ['v2.2.0'] },
      { files: { 'v2/go.mod': 'go 1.20\n' }, tags: ['v2.3.0'] },
    ],
    asks: { '': ['v1.0.0', 'v1.1.0', 'v2.0.0'], '/v2': ['v2.0.0', 'v2.1.0', 'v2.2.0', 'v2.3.0', '#2'] },
  },
  {
    name: 'nested',
    why: 'nested modules with prefixed tags; LICENSE inherited or own',
    commits: [
      {
        files: {
          'go.mod': mod('nested.git'),
          'p.go': main,
          LICENSE: 'root\n',
          'a/b/go.mod': mod('nested.git/a/b'),
          'a/b/b.go': 'package b\n',
          'own/go.mod': mod('nested.git/own'),
          'own/LICENSE': 'own\n',
          'none/n.go': 'package n\n',
        },
        tags: ['v1.0.0', 'a/b/v0.1.0', 'own/v0.1.0', 'none/v0.1.0'],
      },
      {
        files: { 'a/b/v2/go.mod': mod('nested.git/a/b/v2'), 'a/b/v2/b.go': 'package b\n' },
        annotated: ['a/b/v2.0.0'],
      },
      { files: { 'p.go': `${main}//3` }, tags: ['v1.1.0'] },
    ],
    asks: {
      '': ['v1.0.0', 'v1.1.0', 'main'],
      '/a/b': ['v0.1.0', 'main', 'latest', 'v1.0.0', '#1'],
      '/a/b/v2': ['v2.0.0', 'main'],
      '/own': ['v0.1.0'],
      '/none': ['v0.1.0', 'latest', 'main'],
      '/a': ['latest'],
    },
  },
  {
    name: 'oddtags',
    why: 'tags that are no versions, or look like pseudo-versions',
    commits: [
      {
        files: { 'go.mod': mod('oddtags.git'), 'p.go': main },
        tags: [
          'v1',
          'v1.2',
          '1.0.0',
          'v1.0',
          'V1.0.0',
          'v01.0.0',
          'v1.0.0+meta',
          'v1.0.0-',
          'release-1',
          'v1.0.0.0',
          'v0.0.0-20200913122640-abcdefabcdef',
        ],
      },
      { files: { 'p.go': `${main}//2` }, tags: ['v1.0.1-rc.1', 'v1.0.1-RC1', 'v2.0.0+incompatible'] },
      { files: { 'p.go': `${main}//3` } },
    ],
    asks: {
      '': [
        'latest',
        'main',
        'v1.0.0+meta',
        'v1.0.0',
        '1.0.0',
        'v1.0.1-rc.1',
        'v1.0.1-RC1',
        '#1',
        'release-1',
        'v2.0.0+incompatible',
        'v0.0.0-20200913122640-abcdefabcdef',
      ],
    },
  },
  {
    name: 'pseudo',
    why: 'pseudo-versions that are right, and wrong ones of each kind',
    commits: [
      { files: { 'go.mod': mod('pseudo.git'), 'p.go': main }, tags: ['v1.2.3'] },
      { files: { 'p.go': `${main}//2` } },
      { files: { 'p.go': `${main}//3` }, tags: ['v1.3.0-pre'] },
      { files: { 'p.go': `${main}//4` } },
      { branch: 'side', from: 'v1.2.3', files: { 'p.go': `${main}//5` }, tags: ['v1.5.0'] },
    ],
    asks: {
      '': [
        'main',
        '#2',
        '#3',
        '#4',
        'v1.2.4-0.@2',
        'v1.3.0-pre.0.@4',
        'v0.0.0-@2',
        'v1.0.0-@2',
        'v1.2.5-0.@2',
        'v1.5.1-0.@4',
        'v1.3.1-0.@4',
        'v1.2.4-0.20200913122640-abcdefabcdef',
        'v1.2.4-0.@1',
        'v2.0.0-@2',
        'v1.2.4-0.@2+incompatible',
        'v0.0.0-@2x',
        'v0.0.0-@2s',
        'v1.2.4-0.@2t',
      ],
    },
  },
  {
    name: 'branchversion',
    why: 'a branch that is named like a version, a tag like a branch, names with slashes',
    commits: [
      { files: { 'go.mod': mod('branchversion.git'), 'p.go': main } },
      { branch: 'v1.0.0', from: 'main', files: { 'p.go': `${main}//2` } },
      { branch: 'feature/x', from: 'main', files: { 'p.go': `${main}//3` } },
      { branch: 'both', from: 'main', files: { 'p.go': `${main}//4` } },
      { files: { 'p.go': `${main}//5` }, tags: ['both', 'deadbeef'] },
    ],
    asks: { '': ['v1.0.0', 'both', 'deadbeef', 'latest'] },
  },
  {
    name: 'retracted',
    why: 'retractions decide what a commit is called',
    commits: [
      { files: { 'go.mod': mod('retracted.git'), 'p.go': main }, tags: ['v1.0.0', 'v1.1.0'] },
      { files: { 'p.go': `${main}//2` } },
      {
        files: { 'go.mod': mod('retracted.git', 'retract (\n\tv1.1.0 // why\n\t[v1.2.0, v1.3.0]\n)\n') },
        tags: ['v1.2.0', 'v1.4.0'],
      },
      { files: { 'p.go': `${main}//4` } },
    ],
    asks: { '': ['latest', 'main', '#1', '#2', '#3', 'v1.1.0'] },
  },
  {
    name: 'merged',
    why: 'the highest tag of all ancestors, over a merge',
    commits: [
      { files: { 'go.mod': mod('merged.git'), 'p.go': main }, tags: ['v1.0.0'] },
      { branch: 'side', from: 'main', files: { 'q.go': main }, tags: ['v1.5.0'] },
      { files: { 'p.go': `${main}//3` }, tags: ['v1.1.0'] },
      { merge: 'side', files: { 'p.go': `${main}//4` } },
      { files: { 'p.go': `${main}//5` } },
    ],
    asks: { '': ['main', '#3', '#4', 'side', 'latest'] },
  },
  {
    name: 'vendored23',
    why: 'vendored files by the rule before Go 1.24',
    commits: [{ files: vendored('vendored23', 'go 1.23\n'), tags: ['v1.0.0'] }],
    asks: { '': ['v1.0.0'] },
  },
  {
    name: 'vendored24',
    why: 'vendored files by the rule of Go 1.24',
    commits: [
      { files: vendored('vendored24', 'go 1.24\n'), tags: ['v1.0.0'] },
      { files: { 'go.mod': mod('vendored24.git', 'go 1.24\nrequire x master\n') }, tags: ['v1.0.1'] },
      { files: { 'go.mod': mod('vendored24.git', 'go v1.24x\n') }, tags: ['v1.0.2'] },
    ],
    asks: { '': ['v1.0.0', 'v1.0.1', 'v1.0.2'] },
  },
  {
    name: 'irregular',
    why: 'links, programs, submodules, dot files, spaces and letters of all scripts',
    commits: [
      {
        files: {
          'go.mod': mod('irregular.git'),
          'p.go': main,
          link: { link: '../../etc/passwd' },
          'dir/link': { link: 'x' },
          'run.sh': { exec: '#!/bin/sh\n' },
          sub: { module: 'a'.repeat(40) },
          '.hidden': 'x',
          '.github/w.yml': 'y',
          'a b/c d.txt': 'z',
          'Ünï/çödé.go': main,
          '日本/語.go': main,
          'empty.txt': '',
        },
        tags: ['v1.0.0'],
      },
    ],
    asks: { '': ['v1.0.0'] },
  },
  {
    name: 'attributes',
    why: 'export-ignore, export-subst, eol and text attributes',
    commits: [
      {
        files: {
          'go.mod': mod('attributes.git'),
          '.gitattributes':
            '*.txt text eol=crlf\nsecret export-ignore\nv.go export-subst\n*.ident ident\n*.lf text eol=lf\n',
          'a.txt': 'one\ntwo\n',
          'b.lf': 'one\r\ntwo\r\n',
          secret: 's',
          'v.go': '// $Format:%H$\n',
          'x.ident': '$Id$\n',
          'crlf.go': 'package p\r\n',
        },
        tags: ['v1.0.0'],
      },
    ],
    asks: { '': ['v1.0.0'] },
  },
  {
    name: 'casefold',
    why: 'two files that differ in case only',
    commits: [
      { files: { 'go.mod': mod('casefold.git'), 'a.go': main, 'A.go': main }, tags: ['v1.0.0'] },
      { files: { 'A.go': undefined, 'b/x.go': main, 'B/y.go': main }, tags: ['v1.0.1'] },
      { files: { 'B/y.go': undefined }, tags: ['v1.0.2'] },
    ],
    asks: { '': ['v1.0.0', 'v1.0.1', 'v1.0.2'] },
  },
  {
    name: 'badnames',
    why: 'names that no module file may have',
    commits: [
      { files: { 'go.mod': mod('badnames.git'), 'aux.go': main }, tags: ['v1.0.0'] },
      { files: { 'aux.go': undefined, 'a:b.go': main }, tags: ['v1.0.1'] },
      { files: { 'a:b.go': undefined, "q'.txt": main }, tags: ['v1.0.2'] },
      {
        files: { "q'.txt": undefined, 'vendor/x/a:b.go': main, 'sub/go.mod': 'module x\n', 'sub/con': 'x' },
        tags: ['v1.0.3'],
      },
      { files: { 'dot.': 'x' }, tags: ['v1.0.4'] },
      { files: { 'dot.': undefined, 'new\nline': 'x' }, tags: ['v1.0.5'] },
    ],
    asks: { '': ['v1.0.0', 'v1.0.1', 'v1.0.2', 'v1.0.3', 'v1.0.4', 'v1.0.5'] },
  },
  {
    name: 'oddmods',
    why: 'go.mod files that are odd: no module line, quoted, capitals, a link, another module, a fork',
    commits: [
      { files: { 'go.mod': 'go 1.20\n', 'p.go': main }, tags: ['v1.0.0'] },
      { files: { 'go.mod': 'module "corp.example/oddmods.git" // c\n' }, tags: ['v1.0.1'] },
      { files: { 'go.mod': undefined, 'GO.MOD': mod('oddmods.git') }, tags: ['v1.0.2'] },
      {
        files: { 'GO.MOD': undefined, 'go.mod': { link: 'other' }, other: mod('oddmods.git') },
        tags: ['v1.0.3'],
      },
      { files: { 'go.mod': 'module other.example/fork\n' }, tags: ['v1.0.4'] },
      { files: { 'go.mod': 'module other.example/fork/v5\n' }, tags: ['v1.0.5'] },
      { files: { 'go.mod': 'module gopkg.in/x.v3\n' }, tags: ['v1.0.6'] },
      { files: { 'go.mod': '\ufeffmodule corp.example/oddmods.git\n' }, tags: ['v1.0.7'] },
      {
        files: { 'go.mod': 'module corp.example/oddmods.git\r\n\r\ngo 1.24\r\n', 'vendor/modules.txt': 'x' },
        tags: ['v1.0.8'],
      },
      { files: { 'go.mod': 'garbage {{{\nmodule corp.example/oddmods.git\n' }, tags: ['v1.0.9'] },
      { files: { 'go.mod': '' }, tags: ['v1.0.10'] },
    ],
    asks: {
      '': [
        'v1.0.0',
        'v1.0.1',
        'v1.0.2',
        'v1.0.3',
        'v1.0.4',
        'v1.0.5',
        'v1.0.6',
        'v1.0.7',
        'v1.0.8',
        'v1.0.9',
        'v1.0.10',
        'latest',
      ],
    },
  },
  {
    name: 'submodules',
    why: 'files of nested modules stay out, by any case of go.mod, not those of a link',
    commits: [
      {
        files: {
          'go.mod': mod('submodules.git'),
          'p.go': main,
          'a/go.mod': mod('x'),
          'a/a.go': main,
          'b/GO.mod': mod('x'),
          'b/b.go': main,
          'c/go.mod': { link: '../go.mod' },
          'c/c.go': main,
          'd/e/go.mod': mod('x'),
          'd/d.go': main,
          'd/e/f/f.go': main,
          '.hg_archival.txt': 'x',
          'sub/.hg_archival.txt': 'x',
        },
        tags: ['v1.0.0'],
      },
    ],
    asks: { '': ['v1.0.0'], '/a': ['main'] },
  },
  {
    name: 'sha256',
    why: 'hashes of 64 digits',
    format: 'sha256',
    commits: [
      { files: { 'go.mod': mod('sha256.git'), 'p.go': main }, annotated: ['v1.0.0'] },
      { files: { 'p.go': `${main}//2` } },
    ],
    asks: { '': ['v1.0.0', 'main', 'latest', '#1', '#2:12'] },
  },
  {
    name: 'oddtimes',
    why: 'commits of 1901, 1970, 2038, 2100 and 9999',
    commits: [
      { time: 1, files: { 'go.mod': mod('oddtimes.git'), 'p.go': main } },
      { time: 2_147_483_648, files: { 'p.go': `${main}//2` } },
      { time: 4_102_444_800, files: { 'p.go': `${main}//3` } },
      {
        time: -2_177_452_800,
        files: { 'p.go': `${main}//4` },
        branch: 'old',
        from: 'main',
        tags: ['v1.0.0'],
      },
      { time: 253_402_300_799, files: { 'p.go': `${main}//5` }, branch: 'new', from: 'main' },
    ],
    asks: { '': ['#1', '#2', '#3', 'main', 'old', 'v1.0.0', 'new'] },
  },
  {
    name: 'hostilenames',
    why: 'files named like the directory of Git, like options and like shell commands',
    commits: [
      { files: { 'go.mod': mod('hostilenames.git'), '.git': 'gitdir: /' }, tags: ['v1.0.0'] },
      { files: { '.git': undefined, 'a/.GIT/config': 'x' }, tags: ['v1.0.1'] },
      { files: { 'a/.GIT/config': undefined, 'git~1': 'x' }, tags: ['v1.0.2'] },
      { files: { 'git~1': undefined, '--output=x': 'x', '$(touch x)': 'x', 'a&b': 'x' }, tags: ['v1.0.3'] },
    ],
    asks: { '': ['v1.0.0', 'v1.0.1', 'v1.0.2', 'v1.0.3'] },
  },
  {
    name: 'elsewhere',
    why: 'the default branch has another name, and main is something else',
    head: 'trunk',
    commits: [
      { files: { 'go.mod': mod('elsewhere.git'), 'p.go': main } },
      { branch: 'trunk', from: 'none', files: { 'go.mod': mod('elsewhere.git'), 't.go': main } },
    ],
    asks: { '': ['latest', 'main', 'trunk', 'master'] },
  },
  {
    name: 'emptytree',
    why: 'a commit without files, and one with a go.mod only',
    commits: [
      { files: {}, tags: ['v0.1.0'] },
      { files: { 'go.mod': mod('emptytree.git') }, tags: ['v0.2.0'] },
    ],
    asks: { '': ['v0.1.0', 'v0.2.0'] },
  },
  {
    name: 'unborn',
    why: 'no commits',
    commits: [],
    asks: { '': ['latest', 'main', 'v1.0.0'] },
  },
  {
    name: 'basetags',
    why: 'bases for pseudo-versions: build metadata, other majors, other prefixes, pre-releases',
    commits: [
      {
        files: { 'go.mod': mod('basetags.git'), 'p.go': main },
        tags: ['v1.1.0+x', 'v1.1.0+y', 'v3.0.0', 'sub/v1.9.0'],
      },
      { files: { 'p.go': `${main}//2` } },
      { files: { 'p.go': `${main}//3` }, tags: ['v1.2.0-alpha'] },
      { files: { 'p.go': `${main}//4` } },
      { branch: 'nine', from: 'main', tags: ['v1.9.9'], files: { 'p.go': `${main}//5` } },
      { branch: 'nine', files: { 'p.go': `${main}//6` } },
    ],
    asks: {
      '': ['#1', '#2', '#3', '#4', 'main', 'nine', 'v1.1.0', 'v1.1.1-0.@2', 'v1.1.1-0.@1', 'v1.1.0+x'],
    },
  },
  {
    name: 'incompatiblebase',
    why: 'pseudo-versions above a +incompatible version',
    commits: [
      { files: { 'p.go': main }, tags: ['v2.0.0'] },
      { files: { 'p.go': `${main}//2` } },
      { files: { 'v2/go.mod': mod('incompatiblebase.git/v2'), 'v2/p.go': main }, tags: ['v2.1.0'] },
      { files: { 'p.go': `${main}//4` } },
    ],
    asks: {
      '': [
        'v2.0.0',
        'v2.1.0',
        'v2.1.0+incompatible',
        '#2',
        '#4',
        'latest',
        'v2.0.1-0.@2+incompatible',
        'v2.0.1-0.@2',
        'v2.0.0-@2+incompatible',
      ],
      '/v2': ['v2.0.0', 'v2.1.0', 'main'],
    },
  },
  {
    name: 'deepname',
    why: 'capitals in the path of a nested module, and a major version above 9',
    commits: [
      {
        files: {
          'Big/Dir/go.mod': mod('deepname.git/Big/Dir'),
          'Big/Dir/x.go': main,
          'go.mod': mod('deepname.git/v10'),
        },
        tags: ['Big/Dir/v0.3.0', 'v10.0.0', 'v9.0.0'],
      },
    ],
    asks: { '/Big/Dir': ['v0.3.0', 'latest'], '/v10': ['v10.0.0', 'latest'], '': ['latest', 'v9.0.0'] },
  },
  {
    name: 'licenses',
    why: 'a LICENSE that is a link or a directory, and one in a nested module of a /v2 directory',
    commits: [
      {
        files: {
          LICENSE: { link: 'COPYING' },
          COPYING: 'c\n',
          'go.mod': mod('licenses.git'),
          'n/go.mod': mod('licenses.git/n'),
          'n/x.go': main,
          'v2/go.mod': mod('licenses.git/v2'),
          'v2/LICENSE/x': 'y',
        },
        tags: ['v1.0.0', 'n/v1.0.0', 'v2.0.0'],
      },
    ],
    asks: { '': ['v1.0.0'], '/n': ['v1.0.0'], '/v2': ['v2.0.0'] },
  },
  {
    name: 'dirfile',
    why: 'a vendor directory that is all there is, and nested ones',
    commits: [
      {
        files: {
          'go.mod': mod('dirfile.git', 'go 1.24\n'),
          'vendor/v.go': main,
          'vendor/modules.txt': 'x',
          'pkg/vendor/v.go': main,
          'pkg/vendor/foo/foo.go': main,
          'a/vendor/b/vendor/c.go': main,
          vendor: undefined,
        },
        tags: ['v1.0.0'],
      },
    ],
    asks: { '': ['v1.0.0'] },
  },
  ...ambiguous(),
];

/** Two first commits whose hashes begin with 924e3a9: the times were searched for. They are named by that, or have a ref. */
function ambiguous(): Awkward[] {
  const files = { 'go.mod': mod('ambiguous.git'), 'p.go': main };
  const first: MadeCommit = { files, time: 1_600_047_818 };
  const second: MadeCommit = { files, time: 1_600_000_295, branch: 'other', from: 'none' };
  const onMain: MadeCommit = { files: { 'p.go': `${main}//3` } };
  const onOther: MadeCommit = { branch: 'other', files: { 'p.go': `${main}//4` } };
  const asks = { '': ['924e3a9', '#1', '#1:7', '#1:9', '924e3a', '924e3', 'main', 'other'] };
  return [
    {
      name: 'ambiguous',
      why: 'two commits whose hashes begin alike',
      commits: [first, second, onMain, onOther],
      asks,
    },
    { name: 'ambiguoustips', why: 'two branches whose hashes begin alike', commits: [first, second], asks },
    {
      name: 'ambiguoustip',
      why: 'a branch and a commit whose hashes begin alike',
      commits: [first, second, onMain],
      asks,
    },
    {
      name: 'ambiguoustag',
      why: 'a tag and a commit whose hashes begin alike',
      commits: [{ ...first, tags: ['v1.0.0'] }, second, onMain, onOther],
      asks,
    },
  ];
}

function vendored(name: string, go: string) {
  return {
    'go.mod': mod(`${name}.git`, go),
    'p.go': main,
    'vendor/modules.txt': '# x\n',
    'vendor/v.go': main,
    'vendor/x.example/y/y.go': main,
    'pkg/vendor/vendor.go': main,
    'pkg/vendor/foo/foo.go': main,
    'longer/pkg/vendor/a.go': main,
    'not/vendored/a/b.go': main,
  };
}
