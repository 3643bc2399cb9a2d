// A canvas that is as sharp as the screen and is drawn at most once a frame.

export interface Surface {
  context: CanvasRenderingContext2D;
  /** CSS pixels. */
  width: number;
  height: number;
}

/** Watches the size of `canvas`'s parent and calls `draw` in the next frame after `ask` or a change of size. */
export function surfaceOf(
  canvas: HTMLCanvasElement,
  size: () => { width: number; height: number },
  draw: (surface: Surface) => void,
): { ask: () => void; now: () => void; stop: () => void } {
  const context = canvas.getContext("2d", { alpha: false });
  let frame = 0;
  const surface: Surface | null = context ? { context, width: 0, height: 0 } : null;
  const paint = (): void => {
    frame = 0;
    if (!surface) return;
    const { width, height } = size();
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
    }
    surface.width = width;
    surface.height = height;
    surface.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    if (width > 0 && height > 0) draw(surface);
  };
  const ask = (): void => {
    if (frame === 0) frame = requestAnimationFrame(paint);
  };
  const observer = new ResizeObserver(ask);
  if (canvas.parentElement) observer.observe(canvas.parentElement);
  return {
    ask,
    now: () => {
      cancelAnimationFrame(frame);
      paint();
    },
    stop: () => {
      cancelAnimationFrame(frame);
      observer.disconnect();
    },
  };
}
