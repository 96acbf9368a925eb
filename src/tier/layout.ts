/**
 * The keys of objects in the bucket, below its prefix.
 *
 *     mod/<path below a GOPROXY's root>     modules and checksum databases: any web server makes a proxy of it
 *     action/<xx>/<hex>                     `<output ID> <Unix ns>`, as go-cache-plugin has it
 *     output/<xx>/<hex>                     the raw bytes
 */

export function moduleObject(path: string): string {
  return `mod/${path}`;
}

export function actionObject(actionId: string): string {
  return `action/${actionId.slice(0, 2)}/${actionId}`;
}

export function outputObject(outputId: string): string {
  return `output/${outputId.slice(0, 2)}/${outputId}`;
}
