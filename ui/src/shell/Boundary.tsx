// Keeps a fault in one page from taking the frame with it.

import { Component, type ComponentChildren } from "preact";
import { message } from "../api";
import { Note } from "./Note";

interface Props {
  /** When it changes, the page is tried again. */
  place: string;
  children: ComponentChildren;
}

export class Boundary extends Component<Props, { error: unknown; place: string }> {
  override state = { error: undefined as unknown, place: "" };

  override componentDidCatch(error: unknown) {
    console.error(error);
    this.setState({ error, place: this.props.place });
  }

  override render() {
    const { error, place } = this.state;
    if (error === undefined || place !== this.props.place) return this.props.children;
    return (
      <div class="page">
        <Note
          kind="error"
          actions={
            <button type="button" class="small" onClick={() => this.setState({ error: undefined, place: "" })}>
              Try again
            </button>
          }
        >
          <strong>This page failed: {message(error)}</strong>
          <p>Your data is not affected. If it comes again, please report it with the address of this page.</p>
        </Note>
      </div>
    );
  }
}
