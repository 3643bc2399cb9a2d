// The query editor: colours by our grammar, completion and errors by the server's parser. Loaded with the first focus of a
// query box, and mounted in a shadow root: its styles are made by script, which a strict content security policy allows
// only there.

import {
  autocompletion,
  closeBrackets,
  closeCompletion,
  completionKeymap,
  startCompletion,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, LRLanguage, syntaxHighlighting } from "@codemirror/language";
import { Compartment, EditorSelection, EditorState, Prec } from "@codemirror/state";
import { EditorView, keymap, placeholder } from "@codemirror/view";
import { styleTags, tags } from "@lezer/highlight";
import { offer } from "./complete";
import { parser } from "./traceql-parser.js";

export interface Options {
  text: string;
  placeholder: string;
  onInput: (text: string) => void;
  onRun: (text: string) => void;
  /** Time in which names and values are looked for. */
  range: () => { start: string; end: string };
}

export interface Editor {
  text: () => string;
  setText: (text: string) => void;
  focus: (at?: number) => void;
  destroy: () => void;
}

export const language = LRLanguage.define({
  name: "traceql",
  parser: parser.configure({
    props: [
      styleTags({
        Keyword: tags.keyword,
        Constant: tags.atom,
        "Intrinsic Scoped": tags.standard(tags.name),
        Attribute: tags.propertyName,
        String: tags.string,
        Number: tags.number,
        Operator: tags.operator,
        "LineComment BlockComment": tags.comment,
        "{ } ( )": tags.bracket,
      }),
    ],
  }),
  languageData: { closeBrackets: { brackets: ["(", "{", '"', "`"] } },
});

const colours = HighlightStyle.define([
  { tag: tags.keyword, color: "var(--series-3)", fontWeight: "600" },
  { tag: tags.atom, color: "var(--series-1)" },
  { tag: tags.standard(tags.name), color: "var(--series-2)" },
  { tag: tags.propertyName, color: "var(--accent)" },
  { tag: tags.string, color: "var(--ok)" },
  { tag: tags.number, color: "var(--series-1)" },
  { tag: tags.operator, color: "var(--muted)" },
  { tag: tags.comment, color: "var(--faint)", fontStyle: "italic" },
]);

const look = EditorView.theme({
  "&": { backgroundColor: "transparent", color: "var(--text)", fontSize: "13px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "20px", maxHeight: "160px" },
  ".cm-content": { padding: "4px 0", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 6px" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-placeholder": { color: "var(--faint)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--selected) !important" },
  "&.cm-focused .cm-matchingBracket": {
    backgroundColor: "var(--accent-soft)",
    outline: "1px solid var(--line-strong)",
  },
  ".cm-tooltip": {
    backgroundColor: "var(--raised)",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--radius)",
    boxShadow: "var(--shadow)",
    color: "var(--text)",
    zIndex: "50",
  },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { fontFamily: "var(--mono)", fontSize: "12px", maxHeight: "280px" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { padding: "3px 10px" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--selected)", color: "var(--text)" },
  ".cm-completionMatchedText": { textDecoration: "none", color: "var(--accent)", fontWeight: "600" },
  ".cm-completionDetail": { color: "var(--muted)", fontStyle: "normal", marginLeft: "1.5em" },
});

/** Puts an editor into `host`. */
export function mountEditor(host: HTMLElement, options: Options): Editor {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open", delegatesFocus: true });
  let quiet = false;
  const reader = new Compartment();
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: options.text,
      extensions: [
        history(),
        language,
        syntaxHighlighting(colours),
        bracketMatching(),
        closeBrackets(),
        EditorView.lineWrapping,
        reader.of(EditorView.contentAttributes.of({ "aria-label": "TraceQL query" })),
        placeholder(options.placeholder),
        autocompletion({
          override: [offer(options.range)],
          icons: false,
          activateOnTypingDelay: 80,
          maxRenderedOptions: 80,
        }),
        Prec.high(
          keymap.of([
            {
              key: "Mod-Enter",
              run: (target) => {
                closeCompletion(target);
                options.onRun(target.state.doc.toString());
                return true;
              },
            },
            {
              key: "Shift-Enter",
              run: (target) => {
                target.dispatch(target.state.replaceSelection("\n"));
                return true;
              },
            },
          ]),
        ),
        // Below the keys of the completion list, which takes Enter while it is open.
        keymap.of([
          ...completionKeymap,
          {
            key: "Enter",
            run: ({ state }) => {
              options.onRun(state.doc.toString());
              return true;
            },
          },
          {
            key: "Escape",
            run: (target) => {
              target.contentDOM.blur();
              return true;
            },
          },
          ...defaultKeymap,
          ...historyKeymap,
        ]),
        look,
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !quiet) options.onInput(update.state.doc.toString());
        }),
      ],
    }),
  });
  return {
    text: () => view.state.doc.toString(),
    setText: (text) => {
      quiet = true;
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } });
      quiet = false;
    },
    focus: (at) => {
      view.focus();
      if (at !== undefined) {
        view.dispatch({ selection: EditorSelection.cursor(Math.min(at, view.state.doc.length)) });
        if (view.state.doc.length === 0) startCompletion(view);
      }
    },
    destroy: () => view.destroy(),
  };
}
