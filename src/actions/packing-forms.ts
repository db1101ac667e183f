/** In which forms a build packs its layers: the ones that outputs and caches will ask for, made in the same pass. */
import type { LayerForm, OutputSpec } from '../output/output-spec.ts';
import type { PackingForms, WantedForm } from '../solver/layer-packing.ts';
import { exportForms } from './build-caches.ts';
import type { BuildRequest } from './build-request.ts';

/** The forms of a build's layers. The plain tar of an image's layer is left out where nothing but compressed forms is asked for. */
export function packingForms({ outputs, caches, squash }: BuildRequest): PackingForms {
  const written = outputs.map(formOf);
  const everywhere = exportForms(caches, 'max');
  const all = [...written, ...exportForms(caches, 'min'), ...everywhere];
  return {
    // A squashed image has one layer that is made of theirs.
    image: compressed(squash ? everywhere : all),
    rest: compressed(everywhere),
    plain:
      written.length === 0 || all.some((form) => form?.compression === 'uncompressed' || form === undefined),
  };
}

/** The form an output writes layers in; undefined where it reads their plain tars. */
function formOf(spec: OutputSpec): LayerForm | undefined {
  return 'form' in spec && !(spec.type === 'image' && !spec.push) ? spec.form : undefined;
}

/** Compressed ones among forms, each once. */
function compressed(forms: readonly (WantedForm | undefined)[]): WantedForm[] {
  const found = forms.flatMap((form) =>
    form === undefined || form.compression === 'uncompressed'
      ? []
      : [{ compression: form.compression, level: form.level }],
  );
  return [...new Map(found.map((form) => [JSON.stringify(form), form])).values()];
}
