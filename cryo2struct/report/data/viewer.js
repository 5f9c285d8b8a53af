"use strict";
// The 3D view of the report: builds map and model from the page's data and shows them with 3Dmol.js.
(function () {
  const NAMES = { A: "ALA", C: "CYS", D: "ASP", E: "GLU", F: "PHE", G: "GLY", H: "HIS", I: "ILE", K: "LYS", L: "LEU",
    M: "MET", N: "ASN", P: "PRO", Q: "GLN", R: "ARG", S: "SER", T: "THR", V: "VAL", W: "TRP", Y: "TYR" };
  const ATOMS = ["N", "CA", "C", "O"];
  const MISSING = -32768;
  const MESH = { color: "#5b6675", opacity: 0.6, wireframe: true, smoothness: 1 };
  const box = document.getElementById("view");
  const data = JSON.parse(document.getElementById("scene").textContent);
  let viewer = null, surface = null;

  function bytes(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  }

  // The backbone as mmCIF text: 3Dmol.js then finds the secondary structure. Chains are named by their rank, from 0.
  function modelText(model) {
    const xyz = new Int16Array(bytes(model.xyz));
    const position = new Int32Array(bytes(model.position));
    const confidence = new Uint16Array(bytes(model.confidence));
    const lines = ["data_model", "loop_"];
    for (const name of ["group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id",
      "label_asym_id", "label_entity_id", "label_seq_id", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy",
      "B_iso_or_equiv", "auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id", "pdbx_PDB_model_num"]) {
      lines.push("_atom_site." + name);
    }
    let row = 0, serial = 1;
    model.chains.forEach((chain, rank) => {
      for (const letter of chain.letters) {
        const name = NAMES[letter] || "UNK", number = position[row], value = (confidence[row] / 100).toFixed(2);
        ATOMS.forEach((atom, index) => {
          const start = 12 * row + 3 * index;
          if (xyz[start] !== MISSING) {
            const place = model.centre.map((c, axis) => (c + model.step * xyz[start + axis]).toFixed(3)).join(" ");
            lines.push(`ATOM ${serial++} ${atom[0]} ${atom} . ${name} ${rank} 1 ${number} ${place} 1 ${value} ` +
              `${number} ${name} ${rank} ${atom} 1`);
          }
        });
        row += 1;
      }
    });
    lines.push("#", "");
    return lines.join("\n");
  }

  function colour(atom) {
    return data.classes.find(([least]) => atom.b >= least)[1];
  }

  function volume(map) {
    const packed = new Int8Array(bytes(map.values));
    const made = new $3Dmol.VolumeData("", "");
    [made.size.x, made.size.y, made.size.z] = map.size;
    [made.unit.x, made.unit.y, made.unit.z] = map.voxel;
    [made.origin.x, made.origin.y, made.origin.z] = map.origin;
    made.data = Float32Array.from(packed, (value) => value + 127);
    return made;
  }

  function showMap(map, grid) {
    const level = Number(document.getElementById("level").value);
    const shown = document.getElementById("show-map").checked;
    const value = map.background + level * map.step;
    const times = map.noise > 0 ? `, ${((level * map.step) / map.noise).toFixed(1)} x noise above background` : "";
    document.getElementById("level-value").textContent = value.toPrecision(3) + times;
    if (surface !== null) viewer.removeShape(surface);
    surface = null;
    if (shown) surface = viewer.addIsosurface(grid, { ...MESH, isoval: level });
    viewer.render();
  }

  function nameOf(atom) {
    return `${data.model.chains[Number(atom.chain)].name} ${atom.resn} ${atom.resi}: ${atom.b.toFixed(1)} %`;
  }

  function start() {
    viewer = $3Dmol.createViewer(box, { backgroundColor: "white", antialias: true });
    if (!viewer) throw new Error("no WebGL");
    viewer.addModel(modelText(data.model), "cif", { assignBonds: false });
    viewer.setStyle({}, { cartoon: { colorfunc: colour, thickness: 0.5 } });
    let label = null;
    viewer.setHoverable({ atom: "CA" }, true, (atom) => {
      label = viewer.addLabel(nameOf(atom), { position: atom, fontSize: 13, backgroundColor: "black" });
    }, () => {
      if (label !== null) viewer.removeLabel(label);
      label = null;
    });
    viewer.zoomTo();
    viewer.zoom(1.5);
    if (data.map) {
      const grid = volume(data.map);
      const redraw = () => showMap(data.map, grid);
      document.getElementById("level").addEventListener("change", redraw);
      document.getElementById("show-map").addEventListener("change", redraw);
      redraw();
    } else {
      viewer.render();
    }
  }

  // A click on a letter of a sequence shows the residue.
  document.addEventListener("click", (event) => {
    const letter = event.target.closest(".letters b");
    if (letter === null || viewer === null) return;
    const chain = letter.closest(".chain").dataset.chain;
    const number = Number(/\d+/.exec(letter.title)[0]);
    viewer.zoomTo({ chain: chain, resi: `${number - 4}-${number + 4}` }, 500);
    box.scrollIntoView({ block: "center" });
  });

  // The name of a chain leads to its sequence, which may be folded away.
  window.addEventListener("hashchange", () => {
    const chain = document.getElementById(location.hash.slice(1));
    if (chain instanceof HTMLDetailsElement) {
      chain.open = true;
      chain.scrollIntoView();
    }
  });

  // On paper nothing can be unfolded.
  window.addEventListener("beforeprint", () => {
    for (const chain of document.querySelectorAll("details.chain")) chain.open = true;
  });

  // After the page has been laid out and shown: large models take seconds.
  setTimeout(() => {
    try {
      start();
      box.dataset.state = "drawn";
    } catch (fault) {
      box.dataset.state = "failed";
      box.textContent = `The 3D view cannot be shown (${fault.message || fault}); it needs a browser with WebGL.`;
    }
  }, 50);
})();
