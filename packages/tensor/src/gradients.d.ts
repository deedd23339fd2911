// Types of `#gradients`, dist/gradients.js, which scripts/bundle-gradients.mjs writes. Importing it registers the
// gradients of tfjs and its operations as methods of tensors. A declaration and not a module, so that `tsc` alone never
// writes a stand-in for the bundle; the script copies it to dist.
import '@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops.js';
